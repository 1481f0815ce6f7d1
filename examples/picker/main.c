/* SPDX-License-Identifier: MIT
 *
 * A photo picker with live search: it indexes a folder of pictures in the background, and finds
 * them by words or by another picture while one types.
 *
 *     picker [FOLDER]             opens pictures in their program
 *     picker --print [FOLDER]     prints the paths of what is picked, for scripts
 */
#include "window.h"

#include <locale.h>
#include <stdlib.h>
#include <vkclip.h>

struct program {
    struct options options;
    struct engine *engine;
    GFile *folder;
};

static void activate(GtkApplication *application, struct program *program)
{
    g_autoptr(GtkCssProvider) style = gtk_css_provider_new();
    PickerWindow *window = picker_window_new(application, program->engine, &program->options);
    gtk_css_provider_load_from_resource(style, "/vkclip/picker/picker.css");
    gtk_style_context_add_provider_for_display(gdk_display_get_default(), GTK_STYLE_PROVIDER(style),
                                               GTK_STYLE_PROVIDER_PRIORITY_APPLICATION);
    follow_color_scheme();
    if (program->folder)
        picker_window_open(window, program->folder);
    gtk_window_present(GTK_WINDOW(window));
}

int main(int argc, char **argv)
{
    struct program program = {.options.model = g_strdup(PICKER_MODEL)};
    struct options *options = &program.options;
    const GOptionEntry entries[] = {
        {"model", 'm', 0, G_OPTION_ARG_FILENAME, &options->model, "A folder, a file or a name",
         "M"},
        {"index", 'i', 0, G_OPTION_ARG_FILENAME, &options->index, "The user's own otherwise",
         "FILE"},
        {"query", 'q', 0, G_OPTION_ARG_STRING, &options->query, "Search for this text", "TEXT"},
        {"picture", 'p', 0, G_OPTION_ARG_FILENAME, &options->picture, "... and this", "FILE"},
        {"print", 0, 0, G_OPTION_ARG_NONE, &options->print, "Print what is picked", NULL},
        G_OPTION_ENTRY_NULL};
    g_autoptr(GOptionContext) context = g_option_context_new("[FOLDER]");
    g_autoptr(GError) error = NULL;
    setlocale(LC_ALL, "");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || argc > 2) {
        g_printerr("picker: %s\n", error ? error->message : "expected one folder at most");
        return EXIT_FAILURE;
    }
    if (vkclip_read_environment()) /* The command's variables count here too. */
        return EXIT_FAILURE;
    if (argc == 2)
        program.folder = g_file_new_for_commandline_arg(argv[1]);
    program.engine = engine_new(options->model, options->index);
    g_autoptr(GtkApplication) application =
        gtk_application_new("org.example.Picker", G_APPLICATION_NON_UNIQUE);
    g_signal_connect(application, "activate", G_CALLBACK(activate), &program);
    int status = g_application_run(G_APPLICATION(application), 1, argv);
    if (!status && options->print && !options->picked)
        status = EXIT_FAILURE; /* as scripts expect it of a dialog that was closed */
    engine_free(program.engine);
    g_clear_object(&program.folder);
    g_free(options->model);
    g_free(options->index);
    g_free(options->query);
    g_free(options->picture);
    return status;
}
