/* SPDX-License-Identifier: MIT
 *
 * Sorts a folder of pictures by labels:
 *
 *     picsort MODEL FOLDER LABEL...              prints a CSV table of probabilities
 *     picsort --into OUT MODEL FOLDER LABEL...   also copies each picture into OUT/LABEL
 *
 * The table's last column names an earlier picture that is nearly the same. Ctrl+C ends the program
 * as soon as what the device computes is done.
 */
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "vkclip.hpp"

namespace fs = std::filesystem;

namespace
{

constexpr float near_duplicate = 0.99F; /* the least cosine, as `vkclip duplicates` has it */
volatile std::sig_atomic_t interrupted = 0;

std::vector<std::string> find_pictures(const fs::path &folder)
{
    std::vector<std::string> paths;
    for (const auto &entry : fs::recursive_directory_iterator(folder))
        if (entry.is_regular_file() && vkclip_find_image_format(entry.path().string().c_str()))
            paths.push_back(entry.path().string());
    std::sort(paths.begin(), paths.end());
    return paths;
}

/* Turns logits into probabilities as the model was trained: each by itself, or all together. */
void normalize(float *logits, std::size_t count, bool sigmoid)
{
    const float most = *std::max_element(logits, logits + count);
    std::transform(logits, logits + count, logits, [=](float logit) {
        return sigmoid ? 1 / (1 + std::exp(-logit)) : std::exp(logit - most);
    });
    const float sum = std::accumulate(logits, logits + count, 0.0F);
    if (!sigmoid)
        std::transform(logits, logits + count, logits, [=](float value) { return value / sum; });
}

/* Returns the first picture before this one that is nearly the same, or this one. */
std::size_t find_duplicate(const clip::encoded &pictures, std::size_t index)
{
    const clip::matrix &embeds = pictures.embeds;
    const float *const row = embeds.row(index);
    for (std::size_t i = 0; i < index; i++)
        if (pictures.failures[i].empty() &&
            std::inner_product(row, row + embeds.width, embeds.row(i), 0.0F) >= near_duplicate)
            return i;
    return index;
}

std::string quote(const std::string &field)
{
    if (field.find_first_of(",\"\n") == std::string::npos)
        return field;
    std::string quoted = "\"";
    for (const char c : field)
        quoted += c == '"' ? "\"\"" : std::string(1, c);
    return quoted + '"';
}

/* Encodes the pictures on a thread of the library. This one says meanwhile how far it is, as that
 * of a window would draw. */
clip::encoded encode(const clip::model &model, const std::vector<std::string> &paths)
{
    std::atomic<std::uint64_t> done = 0;
    clip::encoding encoding(model, paths, [&](std::uint64_t count, std::uint64_t) {
        done = count;
        return !interrupted;
    });
    auto pictures = encoding.get_future();
    while (pictures.wait_for(std::chrono::milliseconds(200)) != std::future_status::ready)
        std::cerr << '\r' << done << " of " << paths.size() << std::flush;
    std::cerr << '\r';
    return pictures.get();
}

/* A label names a folder, and no other place than one below that of the program's user. */
void copy(const fs::path &picture, const fs::path &into, const std::string &label)
{
    if (fs::path(label).filename() != label || label == "..")
        throw std::runtime_error(label + ": expected a label that can be a folder's name");
    fs::create_directories(into / label);
    fs::copy_file(picture, into / label / picture.filename());
}

void sort(const std::string &name, const fs::path &folder, const fs::path &into,
          const std::vector<std::string> &labels)
{
    const auto device = clip::open_device();
    const auto model = clip::open_model(device, name);
    const auto paths = find_pictures(folder);
    const auto classes = clip::encode_labels(model, labels, "a picture of {}");
    const auto pictures = encode(model, paths);
    auto probabilities = clip::compare(model, pictures.embeds, classes);

    std::cout << "picture,label";
    for (const auto &label : labels)
        std::cout << ',' << quote(label);
    std::cout << ",duplicate of\n" << std::fixed << std::setprecision(4);
    for (std::size_t i = 0; i < paths.size(); i++) {
        if (!pictures.failures[i].empty()) {
            std::cerr << pictures.failures[i] << '\n';
            continue;
        }
        float *const row = probabilities.values.data() + i * labels.size();
        normalize(row, labels.size(), clip::get_info(model).sigmoid);
        const auto &best =
            labels[static_cast<std::size_t>(std::max_element(row, row + labels.size()) - row)];
        std::cout << quote(paths[i]) << ',' << quote(best);
        for (std::size_t j = 0; j < labels.size(); j++)
            std::cout << ',' << row[j];
        const std::size_t same = find_duplicate(pictures, i);
        std::cout << ',' << (same < i ? quote(paths[same]) : "") << '\n';
        if (!into.empty())
            copy(paths[i], into, best);
    }
}

} // namespace

int main(int argc, char **argv)
{
    std::vector<std::string> arguments(argv + 1, argv + argc);
    std::string into;
    if (arguments.size() > 1 && arguments[0] == "--into") {
        into = arguments[1];
        arguments.erase(arguments.begin(), arguments.begin() + 2);
    }
    if (arguments.size() < 3) {
        std::cerr << "usage: picsort [--into OUT] MODEL FOLDER LABEL...\n";
        return 2;
    }
    std::signal(SIGINT, [](int) { interrupted = 1; });
    try {
        clip::check(vkclip_read_environment()); /* Its variables count as for the command. */
        sort(arguments[0], arguments[1], into, {arguments.begin() + 2, arguments.end()});
    } catch (const clip::error &error) {
        std::cerr << "picsort: " << error.what() << '\n';
        return error.code == VKCLIP_ECANCELLED ? 130 : EXIT_FAILURE;
    } catch (const std::exception &error) {
        std::cerr << "picsort: " << error.what() << '\n';
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
