/* Merge the rows of each part: row r of `out` is the sum of the rows of `lanes` or `digits` that part r lists.
 *
 * Digits are summed as lanes: fewer than 2^31 rows a part, so that none wraps. Canonicalising comes after.
 */
#define MERGE(NAME, WORD)                                                                                      \
  SHARES __kernel void NAME(__global const WORD *restrict rows, uint width, __global const uint *restrict order, \
                            __global const uint *restrict first, __global const uint *restrict share,          \
                            __global long *restrict out) {                                                     \
    for (uint part = share[get_global_id(0)]; part < share[get_global_id(0) + 1]; part++) {                    \
      __global long *restrict own = out + (ulong)part * width;                                                 \
      for (uint i = 0; i < width; i++) own[i] = 0;                                                             \
      for (uint k = first[part]; k < first[part + 1]; k++) {                                                   \
        __global const WORD *restrict row = rows + (ulong)order[k] * width;                                    \
        PIPELINE for (uint i = 0; i < width; i++) own[i] += row[i];                                            \
      }                                                                                                        \
    }                                                                                                          \
  }

MERGE(merge_lanes, long)
MERGE(merge_digit_rows, uint)
