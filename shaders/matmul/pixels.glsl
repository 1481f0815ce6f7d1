/* SPDX-License-Identifier: MIT
 *
 * Defines the implicit matrix of a 3x3 convolution. Row r is a pixel of the result, and column k is value (y, x, c)
 * of the pixels around it, zero past the edges.
 */
/* A ROW holds the number, y and x of the top left one of the nine pixels, which may lie outside the picture. */
#define ROW ivec3
ROW row_of(uint row)
{
    uint item = row / (args.out_h * args.out_w), pixel = row % (args.out_h * args.out_w);
    ivec2 place = ivec2(pixel / args.out_w, pixel % args.out_w) * int(args.stride) - 1;
    return ROW((int(item * args.h) + place.x) * int(args.w) + place.y, place);
}

/* Tells whether a tap of a row lies inside the picture. `pixel` gets the number of its pixel, or 0 outside. */
bool pixel_at(ROW row, uint tap, out uint pixel)
{
    ivec2 place = row.yz + ivec2(tap / 3, tap % 3);
    bool inside = all(greaterThanEqual(place, ivec2(0))) && place.x < int(args.h) && place.y < int(args.w);
    pixel = inside ? uint(row.x + int(tap / 3 * args.w + tap % 3)) : 0;
    return inside;
}
