/* SPDX-License-Identifier: MIT
 *
 * Recall is what counting by the definition gives: with several rows per owner, rows and owners
 * that are not there, ties, and any number of threads.
 */
#include "base/recall.h"
#include "support/testing.h"

enum { OWNERS = 37, ROWS = 71, DIM = 11 };

struct matrices {
    float owners[OWNERS * DIM], rows[ROWS * DIM];
    bool owner_there[OWNERS], row_there[ROWS];
    size_t first[OWNERS + 1], owner[ROWS];
};

/* Few different values make ties. */
static void fill(struct matrices *m)
{
    uint32_t x = 7;
    for (size_t i = 0; i < OWNERS * DIM; i++)
        m->owners[i] = (float)((x = x * 1664525u + 1013904223u) >> 30) - 1;
    for (size_t i = 0; i < ROWS * DIM; i++)
        m->rows[i] = (float)((x = x * 1664525u + 1013904223u) >> 30) - 1;
    for (size_t i = 0; i < OWNERS; i++) {
        m->owner_there[i] = i % 9 != 4;
        m->first[i + 1] = m->first[i] + (i % 5 == 2 ? 0 : i % 5 == 3 ? 4 : 2);
        m->first[i + 1] = m->first[i + 1] < ROWS && i + 1 < OWNERS ? m->first[i + 1] : ROWS;
        for (size_t j = m->first[i]; j < m->first[i + 1]; j++)
            m->owner[j] = i;
    }
    for (size_t j = 0; j < ROWS; j++)
        m->row_there[j] = j % 13 != 5;
}

static double product(const struct matrices *m, size_t owner, size_t row)
{
    double sum = 0;
    for (size_t d = 0; d < DIM; d++)
        sum += (double)m->owners[owner * DIM + d] * m->rows[row * DIM + d];
    return sum;
}

static bool counts(const struct matrices *m, size_t row)
{
    return m->row_there[row] && m->owner_there[m->owner[row]];
}

static void count(struct recall *recall, size_t better)
{
    recall->queries++;
    recall->found[0] += better < 1;
    recall->found[1] += better < 5;
    recall->found[2] += better < 10;
}

static void count_owner(const struct matrices *m, size_t owner, struct recall *recall)
{
    double best = -1e9;
    size_t better = 0;
    for (size_t j = 0; j < ROWS; j++)
        if (counts(m, j) && m->owner[j] == owner && product(m, owner, j) > best)
            best = product(m, owner, j);
    if (best == -1e9)
        return;
    for (size_t j = 0; j < ROWS; j++)
        better += counts(m, j) && m->owner[j] != owner && product(m, owner, j) >= best;
    count(recall, better);
}

static void count_row(const struct matrices *m, size_t row, struct recall *recall)
{
    size_t better = 0;
    for (size_t i = 0; i < OWNERS; i++)
        better += m->owner_there[i] && i != m->owner[row] &&
                  product(m, i, row) >= product(m, m->owner[row], row);
    count(recall, better);
}

static void counts_by_the_definition(void **state)
{
    static struct matrices m;
    const struct recall_input input = {.owners = {m.owners, m.owner_there, OWNERS},
                                       .owned = {m.rows, m.row_there, ROWS},
                                       .first = m.first,
                                       .dim = DIM};
    struct recall owners = {0}, rows = {0}, found[2];
    (void)state;
    fill(&m);
    for (size_t i = 0; i < OWNERS; i++)
        count_owner(&m, i, &owners);
    for (size_t j = 0; j < ROWS; j++)
        if (counts(&m, j))
            count_row(&m, j, &rows);
    assert_true(owners.found[0] < owners.found[1] && owners.found[1] < owners.found[2]);
    for (unsigned threads = 0; threads < 2; threads++) {
        struct workers *workers = NULL;
        assert_int_equal(threads ? workers_open(3, &workers) : 0, 0);
        assert_int_equal(recall_rank(&input, workers, &found[0], &found[1]), 0);
        assert_memory_equal(&found[0], &owners, sizeof(owners));
        assert_memory_equal(&found[1], &rows, sizeof(rows));
        workers_close(&workers);
    }
    assert_true(recall_percent(&owners, 2) ==
                100.0 * (double)owners.found[2] / (double)owners.queries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(counts_by_the_definition)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
