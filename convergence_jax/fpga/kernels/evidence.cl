/* Sums of doubles in cells, as convergence_jax/exact/window_segments.py: 128 bits for what lies in the
 * window, and a mark at what does not.
 *
 * Rows come sorted: `order` lists them part by part, part p has those from first[p] to first[p + 1], at least
 * one. Work item w takes the parts from share[w] to share[w + 1] and counts in left[w] what it left out.
 */

#if FLOAT64_WINDOW_DIGITS * DIGIT_BITS != 128
#error a sum of the window takes two words
#endif

#define NEAR 1024 /* numbers fetched at a time, so that many reads of far memory are under way at once */

typedef struct {
  ulong low, high;
} wide;

/* sum + x, x given by its bits, where it is a multiple of the window's unit and within its range. */
static wide with_number(wide sum, ulong x, bool *inside) {
  const int field = (int)(x >> 52) & 0x7ff, position = max(field, 1) - 1; /* in units of the format */
  const ulong mantissa = (x & ((1UL << 52) - 1)) | ((ulong)(field > 0) << 52);
  const int up = position - DIGIT_BITS * WINDOW_FIRST_DIGIT; /* to units of the window */
  const int lost = clamp(-up, 0, 63), raised = clamp(up, 0, 63);
  /* Infinities and NaN lie above the range. */
  *inside = (mantissa & ((1UL << lost) - 1)) == 0 &&
            position < 1022 + FLOAT64_WINDOW_TERM_BITS + FLOAT64_WINDOW_LSB;
  const ulong term = *inside ? mantissa >> lost : 0, sign = -(x >> 63);
  const ulong low = (term << raised) ^ sign, high = ((term >> 1) >> (63 - raised)) ^ sign;
  const ulong added = sum.low + low;
  wide made = {added - sign, sum.high + high + (added < low)}; /* less -1: a complement becomes a negative */
  made.high += made.low < added;
  return made;
}

SHARES __kernel void window_sums(__global const ulong *restrict bits, uint columns,
                                 __global const uint *restrict order, __global const uint *restrict first,
                                 __global const uint *restrict share, __global uint *restrict digits,
                                 __global uchar *restrict outside, __global ulong *restrict left) {
  const uint begin = first[share[get_global_id(0)]], end = first[share[get_global_id(0) + 1]];
  ulong near[NEAR], out = 0;
  for (uint column = 0; column < columns; column++) {
    uint part = share[get_global_id(0)], next = begin < end ? first[part + 1] : 0;
    wide sum = {0, 0};
    for (uint start = begin; start < end; start += min((uint)NEAR, end - start)) {
      const uint count = min((uint)NEAR, end - start);
      PIPELINE for (uint k = 0; k < count; k++) near[k] = bits[(ulong)order[start + k] * columns + column];
      PIPELINE for (uint k = 0; k < count; k++) {
        bool inside;
        sum = with_number(sum, near[k], &inside);
        if (!inside) {
          outside[(ulong)order[start + k] * columns + column] = 1;
          out++;
        }
        if (start + k + 1 == next) { /* the part ends here */
          __global uint *restrict own = digits + ((ulong)part * columns + column) * FLOAT64_WINDOW_DIGITS;
          own[0] = (uint)(sum.low & DIGIT_MASK);
          own[1] = (uint)(sum.low >> DIGIT_BITS);
          own[2] = (uint)(sum.high & DIGIT_MASK);
          own[3] = (uint)(sum.high >> DIGIT_BITS);
          sum.low = sum.high = 0;
          part++;
          next = next < end ? first[part + 1] : 0;
        }
      }
    }
  }
  left[get_global_id(0)] = out;
}
