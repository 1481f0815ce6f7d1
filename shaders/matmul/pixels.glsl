/* SPDX-License-Identifier: MIT
 *
 * The implicit matrix of a 3x3 convolution: row r is a pixel of the result, column k the value (y, x, c) of
 * the pixels around it, zero past the edges.
 */
#define ROW ivec3 /* first pixel of the item; y and x of the top left corner */
ROW row_of(uint row)
{
    uint item = row / (args.out_h * args.out_w), pixel = row % (args.out_h * args.out_w);
    return ROW(item * args.h * args.w, ivec2(pixel / args.out_w, pixel % args.out_w) *
                                           int(args.stride) - 1);
}

bool pixel_at(ROW row, uint tap, out uint pixel)
{
    ivec2 at = row.yz + ivec2(tap / 3, tap % 3);
    bool inside = all(greaterThanEqual(at, ivec2(0))) && at.x < int(args.h) && at.y < int(args.w);
    pixel = inside ? uint(row.x + at.x * int(args.w) + at.y) : 0;
    return inside;
}
