/* SPDX-License-Identifier: MIT
 *
 * The figures of vkclip bench as text, JSON and CSV.
 */
#include "cli/commands/bench.h"
#include "cli/print.h"

#include <string.h>

const char *bench_tower_name(enum vkclip_tower tower)
{
    return tower == VKCLIP_TOWER_TEXT ? "text" : "image";
}

static double items_per_s(const struct bench_row *row)
{
    return row->batch / row->seconds;
}

/* How the model lies on the device: "q8 weights", or its precision. */
static const char *storage_name(const struct vkclip_model_info *info)
{
    switch (info->weights) {
    case VKCLIP_WEIGHTS_F16:
        return "f16 weights";
    case VKCLIP_WEIGHTS_Q8:
        return "q8 weights";
    case VKCLIP_WEIGHTS_Q4:
        return "q4 weights";
    case VKCLIP_WEIGHTS_AUTO:
        break;
    }
    return info->precision == VKCLIP_PRECISION_F16 ? "f16" : "f32";
}

/* Returns the share of a peak, which is below 0 where the peak was not measured. */
static double share_of(double flops, double peak)
{
    return peak > 0 ? flops / peak : -1;
}

static double peak_share(const struct bench *bench, double flops)
{
    return share_of(flops, bench->peaks.flops);
}

static double matrix_share(const struct bench *bench, double flops)
{
    return share_of(flops, bench->peaks.matrix_flops);
}

/* A figure as text; `none` if it is below 0, which means that it was not measured. */
struct figure {
    char text[32];
};
static struct figure show(double value, int digits, const char *none)
{
    struct figure figure;
    if (value < 0)
        snprintf(figure.text, sizeof(figure.text), "%s", none);
    else
        snprintf(figure.text, sizeof(figure.text), "%.*f", digits, value);
    return figure;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void set(json_t *json, const char *key, double value)
{
    json_object_set_new(json, key, value < 0 ? json_null() : json_real(value));
}

static json_t *profile_json(const struct bench_row *row)
{
    json_t *list = json_array();
    for (size_t i = 0; i < row->op_count; i++) {
        const struct bench_op *op = &row->ops[i];
        json_t *json = json_pack("{ss ss ss si sf sf}", "op", op->op, "shape", op->node.shape,
                                 "kernel", op->node.kernel, "calls", (int)op->calls, "operations",
                                 op->node.operations, "bytes", op->node.bytes);
        set(json, "seconds", op->node.seconds);
        json_array_append_new(list, json);
    }
    return list;
}

static bool print_json(const struct cli_session *session, const struct bench_options *options,
                       const struct bench *bench, const struct bench_row *row)
{
    const double flops = row->cost.operations / row->seconds;
    json_t *json = json_pack(
        "{so so so ss ss si si sf sf sf sf sf sf sf sI sI}", "model",
        cli_json_text(options->model.path, strlen(options->model.path)), "device",
        cli_json_text(bench->device.name, strlen(bench->device.name)), "driver",
        cli_json_text(bench->device.driver, strlen(bench->device.driver)), "precision",
        storage_name(&session->info), "tower", bench_tower_name(row->tower), "batch",
        (int)row->batch, "runs", (int)row->runs, "items_per_s", items_per_s(row), "seconds",
        row->seconds, "seconds_low", row->low, "seconds_high", row->high, "operations",
        row->cost.operations, "bytes", row->cost.bytes, "gflops", flops / 1e9, "device_bytes",
        (json_int_t)row->cost.device_bytes, "host_bytes", (json_int_t)bench->host_bytes);
    const bool measured = bench->peaks.flops > 0;
    set(json, "peak_gflops", measured ? bench->peaks.flops / 1e9 : -1);
    set(json, "peak_gbytes", measured ? bench->peaks.bytes / 1e9 : -1);
    set(json, "share_of_peak", peak_share(bench, flops));
    set(json, "matrix_peak_gflops",
        bench->peaks.matrix_flops > 0 ? bench->peaks.matrix_flops / 1e9 : -1);
    set(json, "share_of_matrix_peak", matrix_share(bench, flops));
    set(json, "startup_cold", bench->cold[row->tower]);
    set(json, "startup_warm", bench->warm[row->tower]);
    if (options->profile)
        json_object_set_new(json, "profile", profile_json(row));
    return cli_print_json(json, stdout);
}

/* ---- CSV ------------------------------------------------------------------------------------- */

static void print_csv(const struct bench_options *options, const struct bench *bench)
{
    puts(options->profile
             ? "tower,batch,op,shape,kernel,calls,ms,gflops,gbytes_per_s"
             : "tower,batch,runs,items_per_s,ms,ms_low,ms_high,gflops,share_of_peak,"
               "share_of_matrix_peak,device_mib,host_mib,startup_cold_s,startup_warm_s");
    for (size_t i = 0; i < bench->count; i++) {
        const struct bench_row *row = &bench->rows[i];
        const char *tower = bench_tower_name(row->tower);
        const double flops = row->cost.operations / row->seconds;
        for (size_t j = 0; j < row->op_count; j++) {
            const struct bench_op *op = &row->ops[j];
            const double seconds = op->node.seconds;
            printf("%s,%u,%s,%s,%s,%u,%s,%s,%s\n", tower, row->batch, op->op, op->node.shape,
                   op->node.kernel, op->calls, show(seconds * 1e3, 4, "").text,
                   show(op->node.operations / seconds / 1e9, 3, "").text,
                   show(op->node.bytes / seconds / 1e9, 3, "").text);
        }
        if (!options->profile)
            printf("%s,%u,%u,%.4f,%.4f,%.4f,%.4f,%.3f,%s,%s,%.1f,%.1f,%s,%s\n", tower, row->batch,
                   row->runs, items_per_s(row), row->seconds * 1e3, row->low * 1e3, row->high * 1e3,
                   flops / 1e9, show(peak_share(bench, flops), 4, "").text,
                   show(matrix_share(bench, flops), 4, "").text,
                   (double)row->cost.device_bytes / (1 << 20),
                   (double)bench->host_bytes / (1 << 20), show(bench->cold[row->tower], 4, "").text,
                   show(bench->warm[row->tower], 4, "").text);
    }
}

/* ---- Text ------------------------------------------------------------------------------------ */

static void print_profile(const struct bench *bench, const struct bench_row *row)
{
    double total = 0;
    if (!row->op_count)
        return;
    if (row->ops[0].node.seconds < 0) {
        printf("%s has no timestamps: no time by op\n", bench->device.name);
        return;
    }
    for (size_t i = 0; i < row->op_count; i++)
        total += row->ops[i].node.seconds;
    printf("\n%s, batch %u: %.2f ms of the device\n", bench_tower_name(row->tower), row->batch,
           total * 1e3);
    printf("  %-10s %-16s %5s %9s %6s %8s %7s %6s  %s\n", "op", "shape", "calls", "ms", "%",
           "GFLOP/s", "GB/s", "% peak", "kernel");
    for (size_t i = 0; i < row->op_count; i++) {
        const struct bench_op *op = &row->ops[i];
        const double seconds = op->node.seconds, flops = op->node.operations / seconds;
        printf("  %-10s %-16s %5u %9.3f %6.2f %8.1f %7.2f %6s  %s\n", op->op, op->node.shape,
               op->calls, seconds * 1e3, 100 * seconds / total, flops / 1e9,
               op->node.bytes / seconds / 1e9, show(100 * peak_share(bench, flops), 1, "-").text,
               op->node.kernel);
    }
}

static void print_text(const struct cli_session *session, const struct bench_options *options,
                       const struct bench *bench)
{
    printf("%s in %s on %s, %s\n", options->model.path, storage_name(&session->info),
           bench->device.name, bench->device.driver);
    if (bench->peaks.flops > 0)
        printf("peak: %.1f GFLOP/s (%s), copy %.1f GB/s\n", bench->peaks.flops / 1e9,
               bench->peaks.how, bench->peaks.bytes / 1e9);
    if (bench->peaks.matrix_flops > 0)
        printf("peak of matrices: %.1f GFLOP/s (%s)\n", bench->peaks.matrix_flops / 1e9,
               bench->peaks.matrix_how);
    putchar('\n');
    printf("%-5s %5s %10s %10s %13s %9s %7s %10s %11s\n", "tower", "batch", "items/s", "ms",
           "middle half", "GFLOP/s", "% peak", "% matrices", "device MiB");
    for (size_t i = 0; i < bench->count; i++) {
        const struct bench_row *row = &bench->rows[i];
        const double flops = row->cost.operations / row->seconds;
        char half[32];
        snprintf(half, sizeof(half), "%.1f-%.1f", row->low * 1e3, row->high * 1e3);
        printf("%-5s %5u %10.3f %10.2f %13s %9.2f %7s %10s %11.1f\n", bench_tower_name(row->tower),
               row->batch, items_per_s(row), row->seconds * 1e3, half, flops / 1e9,
               show(100 * peak_share(bench, flops), 1, "-").text,
               show(100 * matrix_share(bench, flops), 1, "-").text,
               (double)row->cost.device_bytes / (1 << 20));
    }
    putchar('\n');
    for (enum vkclip_tower tower = 0; tower <= VKCLIP_TOWER_TEXT; tower++)
        if (bench->cold[tower] >= 0)
            printf("first %s embedding %.3f s after the start with empty caches, %.3f s later\n",
                   bench_tower_name(tower), bench->cold[tower], bench->warm[tower]);
    if (bench->host_bytes)
        printf("host memory at most %.1f MiB\n", (double)bench->host_bytes / (1 << 20));
    for (size_t i = 0; i < bench->count; i++)
        print_profile(bench, &bench->rows[i]);
}

bool bench_print(const struct cli_session *session, const struct bench_options *options,
                 const struct bench *bench)
{
    bool good = true;
    if (options->csv)
        print_csv(options, bench);
    else if (!session->common.json)
        print_text(session, options, bench);
    else
        for (size_t i = 0; i < bench->count && good; i++)
            good = print_json(session, options, bench, &bench->rows[i]);
    return good;
}
