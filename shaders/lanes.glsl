/* SPDX-License-Identifier: MIT
 *
 * Repeats BROADCAST_LANE(lane), which the including file defines, for neighbouring lanes of a subgroup. SPIR-V
 * before 1.5 allows only a constant as the lane whose value subgroupBroadcast hands out, so that a loop over the
 * lanes is not possible.
 */
#define BROADCAST_4(first)                                                                                             \
    BROADCAST_LANE(first) BROADCAST_LANE(first + 1) BROADCAST_LANE(first + 2) BROADCAST_LANE(first + 3)
#define BROADCAST_16(first)                                                                                            \
    BROADCAST_4(first) BROADCAST_4(first + 4) BROADCAST_4(first + 8) BROADCAST_4(first + 12)
