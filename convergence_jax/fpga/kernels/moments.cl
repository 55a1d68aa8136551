/* Sums of ticks, and of the products of every pair of features, over the rows of each part.
 *
 * Rows come sorted: `order` lists them part by part, part p has those from first[p] to first[p + 1]. Work item w
 * takes the parts from share[w] to share[w + 1] and writes a row of `sums` and one of `products` for each: signed
 * 64-bit lanes, lane k counting 2^(32 k), as many as the number has digits. A part has fewer than 2^31 rows, so
 * that no lane wraps. Ticks lie row by row, so that a row in any order is one place in memory.
 */

#define TILE 8192 /* ticks that are near at a time: 32 KiB, on an FPGA block memory */

#define STRIP 64 /* rows that are turned at a time */

/* Ticks feature by feature to ticks row by row; each work item turns an equal share. */
#define TO_ROWS(NAME, TICK)                                                                                    \
  SHARES __kernel void NAME(__global const TICK *restrict ticks, ulong rows, uint features,                    \
                            __global TICK *restrict turned) {                                                  \
    ulong items = get_global_size(0), item = get_global_id(0), end = rows * (item + 1) / items;                \
    for (ulong start = rows * item / items; start < end; start += STRIP)                                       \
      for (uint i = 0; i < features; i++)                                                                      \
        for (ulong k = start; k < min(end, start + STRIP); k++) turned[k * features + i] = ticks[i * rows + k]; \
  }

TO_ROWS(narrow_to_rows, int)
TO_ROWS(wide_to_rows, long)

/* A product below 2^62 in magnitude, made positive so that its halves are cut by a plain shift. */
#define OFFSET (1UL << 62)

SHARES __kernel void moments_narrow(__global const int *restrict ticks, uint features,
                                    __global const uint *restrict order, __global const uint *restrict first,
                                    __global const uint *restrict share, __global long *restrict sums,
                                    __global long *restrict products) {
  int near[TILE];
  uint depth = TILE / features, pairs = features * (features + 1) / 2;
  for (uint part = share[get_global_id(0)]; part < share[get_global_id(0) + 1]; part++) {
    __global long *restrict sum = sums + (ulong)part * 2 * features;
    __global long *restrict product = products + (ulong)part * 4 * pairs;
    for (uint i = 0; i < 2 * features; i++) sum[i] = 0;
    for (uint i = 0; i < 4 * pairs; i++) product[i] = 0;
    for (uint start = first[part]; start < first[part + 1]; start += depth) {
      uint count = min(depth, first[part + 1] - start);
      for (uint k = 0; k < count; k++) {
        __global const int *restrict row = ticks + (ulong)order[start + k] * features;
        for (uint i = 0; i < features; i++) near[i * depth + k] = row[i];
      }
      uint place = 0;
      for (uint i = 0; i < features; i++) {
        long total = 0;
        PIPELINE for (uint k = 0; k < count; k++) total += near[i * depth + k];
        sum[2 * i] += total;
        for (uint j = i; j < features; j++) {
          ulong low = 0, high = 0;
          PIPELINE for (uint k = 0; k < count; k++) {
            ulong one = (ulong)((long)near[i * depth + k] * (long)near[j * depth + k]) + OFFSET;
            low += one & DIGIT_MASK;
            high += one >> DIGIT_BITS;
          }
          product[place] += (long)low;
          product[place + 1] += (long)high - (long)(count * (OFFSET >> DIGIT_BITS));
          place += 4;
        }
      }
    }
  }
}

SHARES __kernel void moments_wide(__global const long *restrict ticks, uint features,
                                  __global const uint *restrict order, __global const uint *restrict first,
                                  __global const uint *restrict share, __global long *restrict sums,
                                  __global long *restrict products) {
  uint pairs = features * (features + 1) / 2;
  for (uint part = share[get_global_id(0)]; part < share[get_global_id(0) + 1]; part++) {
    __global long *restrict sum = sums + (ulong)part * 4 * features;
    __global long *restrict product = products + (ulong)part * 8 * pairs;
    for (uint i = 0; i < 4 * features; i++) sum[i] = 0;
    for (uint i = 0; i < 8 * pairs; i++) product[i] = 0;
    uint place = 0;
    for (uint i = 0; i < features; i++) {
      long low_sum = 0, high_sum = 0;
      PIPELINE for (uint k = first[part]; k < first[part + 1]; k++) {
        long tick = ticks[(ulong)order[k] * features + i];
        low_sum += tick & (long)DIGIT_MASK;
        high_sum += tick >> DIGIT_BITS;
      }
      sum[4 * i] = low_sum;
      sum[4 * i + 1] = high_sum;
      for (uint j = i; j < features; j++) {
        long lane0 = 0, lane1 = 0, lane2 = 0, lane3 = 0;
        PIPELINE for (uint k = first[part]; k < first[part + 1]; k++) {
          __global const long *restrict row = ticks + (ulong)order[k] * features;
          long a = row[i], b = row[j];
          ulong low = (ulong)a * (ulong)b;
          long high = mul_hi(a, b);
          lane0 += (long)(low & DIGIT_MASK);
          lane1 += (long)(low >> DIGIT_BITS);
          lane2 += high & (long)DIGIT_MASK;
          lane3 += high >> DIGIT_BITS;
        }
        product[place] = lane0;
        product[place + 1] = lane1;
        product[place + 2] = lane2;
        product[place + 3] = lane3;
        place += 8;
      }
    }
  }
}

/* Add rows to a table of counts and sums: the rows of part p belong to row leaf[p], and no two parts share one.
 * A wide tick counts as two halves of NARROW_BITS bits, each with a sum of its own. */
#define ADD_TO_TABLE(NAME, TICK, WIDE)                                                                          \
  SHARES __kernel void NAME(__global const TICK *restrict ticks, uint features,                                \
                            __global const uint *restrict order, __global const uint *restrict first,          \
                            __global const uint *restrict share, __global const uint *restrict leaf,           \
                            __global long *restrict table) {                                                   \
    uint width = 1 + features * (WIDE ? 2 : 1);                                                                \
    for (uint part = share[get_global_id(0)]; part < share[get_global_id(0) + 1]; part++) {                    \
      __global long *restrict own = table + (ulong)leaf[part] * width;                                         \
      own[0] += first[part + 1] - first[part];                                                                 \
      for (uint i = 0; i < features; i++) {                                                                    \
        long high = 0, low = 0;                                                                                \
        PIPELINE for (uint k = first[part]; k < first[part + 1]; k++) {                                        \
          long tick = ticks[(ulong)order[k] * features + i];                                                   \
          high += WIDE ? tick >> NARROW_BITS : tick;                                                           \
          low += tick & ((1L << NARROW_BITS) - 1);                                                             \
        }                                                                                                      \
        own[1 + i] += high;                                                                                    \
        if (WIDE) own[1 + features + i] += low;                                                                \
      }                                                                                                        \
    }                                                                                                          \
  }

ADD_TO_TABLE(add_narrow_rows, int, 0)
ADD_TO_TABLE(add_wide_rows, long, 1)
