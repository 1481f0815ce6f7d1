/* SPDX-License-Identifier: MIT
 *
 * What is to be done for every lane of a subgroup whose values are broadcast, by ADD(lane) of the file that
 * includes this. The lane that is broadcast must be a constant: hence no loop.
 */
#define ADD_4(c) ADD(c) ADD(c + 1) ADD(c + 2) ADD(c + 3)
#define ADD_16(c) ADD_4(c) ADD_4(c + 4) ADD_4(c + 8) ADD_4(c + 12)
