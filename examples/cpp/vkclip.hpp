/* SPDX-License-Identifier: MIT
 *
 * What a C++17 program may put around vkclip.h: handles that close themselves, exceptions instead
 * of codes, lambdas instead of functions with a pointer, and a job as a std::future. Take what you
 * need into your program.
 */
#ifndef EXAMPLE_VKCLIP_HPP
#define EXAMPLE_VKCLIP_HPP

#include <cstdint>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <vkclip.h>

namespace clip
{

/* ---- Errors ---------------------------------------------------------------------------------- */

struct error : std::runtime_error {
    int code; /* VKCLIP_E* */
    error(int code_, const char *message) : std::runtime_error(message), code(code_)
    {
    }
};

inline void check(int code)
{
    if (code != VKCLIP_OK)
        throw error(code, vkclip_last_error());
}

/* ---- Structs and handles --------------------------------------------------------------------- */

/* Returns an empty struct of params, infos or results that tells its size. */
template <class T> T make()
{
    T value{};
    value.size = sizeof(value);
    return value;
}

template <class T, void (*close)(T **)> struct closer {
    void operator()(T *handle) const
    {
        close(&handle);
    }
};
template <class T, void (*close)(T **)> using handle = std::unique_ptr<T, closer<T, close>>;

using device = handle<vkclip_device, vkclip_close_device>;
using model = handle<vkclip_model, vkclip_close_model>;
using job = handle<vkclip_job, vkclip_close_job>;

inline device open_device(const vkclip_device_params &params = make<vkclip_device_params>())
{
    vkclip_device *opened = nullptr;
    check(vkclip_open_device(&params, &opened));
    return device(opened);
}

inline model open_model(const device &where, const std::string &path,
                        const vkclip_model_params &params = make<vkclip_model_params>())
{
    vkclip_model *opened = nullptr;
    check(vkclip_open_model(where.get(), path.c_str(), &params, &opened));
    return model(opened);
}

inline vkclip_model_info get_info(const model &from)
{
    auto info = make<vkclip_model_info>();
    check(vkclip_get_model_info(from.get(), &info));
    return info;
}

/* ---- Embeddings ------------------------------------------------------------------------------ */

/* Rows of equal width, one after the other, as the library writes them. */
struct matrix {
    std::size_t width = 0;
    std::vector<float> values;

    matrix() = default;
    matrix(std::size_t rows, std::size_t width_) : width(width_), values(rows * width_)
    {
    }
    std::size_t rows() const
    {
        return width ? values.size() / width : 0;
    }
    const float *row(std::size_t index) const
    {
        return values.data() + index * width;
    }
};

/* Strings for a C function: they live as long as those that were given. */
inline std::vector<const char *> pointers(const std::vector<std::string> &strings)
{
    std::vector<const char *> result;
    for (const std::string &string : strings)
        result.push_back(string.c_str());
    return result;
}

/* Class embeddings of labels, which replace "{}" in a template. */
inline matrix encode_labels(const model &by, const std::vector<std::string> &labels,
                            const std::string &text)
{
    matrix embeds(labels.size(), get_info(by).text_embed_dim);
    const char *const texts[] = {text.c_str()};
    check(vkclip_encode_labels(by.get(), pointers(labels).data(), labels.size(), texts, 1, nullptr,
                               embeds.values.data()));
    return embeds;
}

/* Logits of pictures and labels, row by row. */
inline matrix compare(const model &by, const matrix &images, const matrix &labels)
{
    matrix logits(images.rows(), labels.rows());
    check(vkclip_similarity(by.get(), images.values.data(), images.rows(), labels.values.data(),
                            labels.rows(), logits.values.data()));
    return logits;
}

/* ---- A job ----------------------------------------------------------------------------------- */

struct encoded {
    matrix embeds;                     /* of all files; rows of failed ones are undefined */
    std::vector<std::string> failures; /* per file: why it has no embedding; "": it has one */
};

/* Encodes picture files on a thread of the library. Destroying it cancels the job. */
class encoding
{
  public:
    /* Returns false to cancel. It is called on the job's thread; what it throws ends the job too,
     * and comes out of the future. */
    using progress = std::function<bool(std::uint64_t done, std::uint64_t total)>;

    encoding(const model &by, std::vector<std::string> paths, progress report)
        : work_(std::make_unique<work>())
    {
        work_->paths = std::move(paths);
        work_->names = pointers(work_->paths);
        work_->report = std::move(report);
        work_->result.embeds = matrix(work_->paths.size(), get_info(by).embed_dim);
        work_->result.failures.resize(work_->paths.size());
        auto params = make<vkclip_encode_params>();
        vkclip_job *started = nullptr;
        params.orient = true;
        params.fast_decode = true;
        params.user = work_.get();
        params.progress = on_progress;
        params.item = on_item;
        params.done = on_done;
        params.job = &started;
        check(vkclip_encode_files(by.get(), work_->names.data(), work_->names.size(), &params,
                                  work_->result.embeds.values.data()));
        job_.reset(started);
    }

    std::future<encoded> get_future() /* once */
    {
        return work_->promise.get_future();
    }

    void cancel() const
    {
        check(vkclip_cancel_job(job_.get()));
    }

  private:
    /* The library keeps its address, so that it stays where it is when the encoding is moved. */
    struct work {
        std::vector<std::string> paths;
        std::vector<const char *> names;
        progress report;
        encoded result;
        std::exception_ptr thrown;
        std::promise<encoded> promise;
    };
    std::unique_ptr<work> work_;
    job job_; /* is destroyed before what it works on, because it is the last member */

    /* Calls a function, and keeps what it throws: the library's code is C, and no exception may
     * pass through it. */
    template <class F> static int guard(work &self, F function)
    {
        try {
            return function() ? 0 : 1;
        } catch (...) {
            self.thrown = std::current_exception();
            return 1;
        }
    }

    static int on_progress(void *user, std::uint64_t done, std::uint64_t total)
    {
        auto &self = *static_cast<work *>(user);
        return guard(self, [&] { return !self.report || self.report(done, total); });
    }

    static int on_item(void *user, const vkclip_item *item)
    {
        auto &self = *static_cast<work *>(user);
        return guard(self, [&] {
            self.result.failures[item->index] = item->message;
            return true;
        });
    }

    static void on_done(void *user, int code, const char *message)
    {
        auto &self = *static_cast<work *>(user);
        if (self.thrown)
            self.promise.set_exception(self.thrown);
        else if (code != VKCLIP_OK)
            self.promise.set_exception(std::make_exception_ptr(error(code, message)));
        else
            self.promise.set_value(std::move(self.result));
    }
};

} // namespace clip

#endif
