/* Integers modulo 2^(32 length) as digits, least significant first: one work item a number.
 *
 * On an FPGA each loop over the digits is a pipeline whose only dependence is one carry. */

/* Lanes, whose carries are outstanding and which are below 2^63 - 2^32 in magnitude, to digits. */
SHARES __kernel void canonicalise(__global const long *restrict lanes, const uint length,
                                  __global uint *restrict digits) {
  const size_t at = get_global_id(0) * length;
  long carry = 0;
  PIPELINE for (uint j = 0; j < length; j++) {
    const long lane = lanes[at + j] + carry;
    digits[at + j] = (uint)(lane & (long)DIGIT_MASK);
    carry = lane >> DIGIT_BITS; /* rounds down, as two's complement needs it */
  }
}

/* a + b; the result may replace either. */
SHARES __kernel void merge_digits(__global const uint *a, __global const uint *b, const uint length,
                                  __global uint *sum) {
  const size_t at = get_global_id(0) * length;
  long carry = 0;
  PIPELINE for (uint j = 0; j < length; j++) {
    const long lane = (long)a[at + j] + (long)b[at + j] + carry;
    sum[at + j] = (uint)(lane & (long)DIGIT_MASK);
    carry = lane >> DIGIT_BITS;
  }
}

/* a - b; the result may replace either. */
SHARES __kernel void remove_digits(__global const uint *a, __global const uint *b, const uint length,
                                   __global uint *difference) {
  const size_t at = get_global_id(0) * length;
  long carry = 0;
  PIPELINE for (uint j = 0; j < length; j++) {
    const long lane = (long)a[at + j] - (long)b[at + j] + carry;
    difference[at + j] = (uint)(lane & (long)DIGIT_MASK);
    carry = lane >> DIGIT_BITS;
  }
}

/* Counts, one work item each; the result may replace either. */
SHARES __kernel void merge_counts(__global const long *a, __global const long *b, __global long *sum) {
  const size_t at = get_global_id(0);
  sum[at] = a[at] + b[at];
}

SHARES __kernel void remove_counts(__global const long *a, __global const long *b,
                                   __global long *difference) {
  const size_t at = get_global_id(0);
  difference[at] = a[at] - b[at];
}

/* The bits of digits * 2^lsb in two's complement, rounded to nearest, ties to even: a float of `width` bits,
 * of `precision` significant bits, with 2^least the least that is normal. */
static ulong round_digits(__global const uint *digits, const uint length, const int lsb, const int width,
                          const int precision, const int least) {
  const uint negative = digits[length - 1] >> 31;
  /* The leading three digits of the magnitude, and whether any below them is not zero. */
  ulong first = 0, second = 0, third = 0;
  uint before = 0, two_before = 0, top = 0, below = 0, sticky = 0, carry = negative;
  PIPELINE for (uint j = 0; j < length; j++) {
    const ulong lane = (ulong)(negative ? ~digits[j] : digits[j]) + carry;
    const uint digit = (uint)(lane & DIGIT_MASK);
    carry = (uint)(lane >> DIGIT_BITS);
    if (digit) {
      first = digit;
      second = before;
      third = two_before;
      sticky = below;
      top = j;
    }
    below |= two_before;
    two_before = before;
    before = digit;
  }
  if (first == 0) return 0;
  const int by = (int)clz((uint)first);
  /* The leading one at bit 63; what does not fit is sticky. */
  const ulong head = (((first << DIGIT_BITS) | second) << by) | ((third << by) >> DIGIT_BITS);
  sticky |= ((third << by) & DIGIT_MASK) != 0;

  const int power = (int)top * DIGIT_BITS + DIGIT_BITS - 1 - by + lsb; /* 2^power <= magnitude */
  const int lost = clamp(least - power, 0, 64); /* bits that a subnormal result lacks */
  const int drop = min(lost + 64 - precision, 65);
  const ulong kept = drop < 64 ? head >> drop : 0;
  const ulong rest = drop < 64 ? head & ((1UL << drop) - 1) : head;
  const ulong tie = 1UL << min(drop - 1, 63);
  const ulong up = drop < 65 && (rest > tie || (rest == tie && (sticky || (kept & 1))));
  /* The leading one of `kept` adds one to the exponent, and so does a carry out of the rounding. */
  const int biased = max(power - least, 0), largest = (1 << (width - precision)) - 1;
  const ulong infinity = (ulong)largest << (precision - 1);
  const ulong bits = biased >= largest - 1 ? infinity : ((ulong)biased << (precision - 1)) + kept + up;
  return bits | (ulong)negative << (width - 1);
}

/* The same, where counts of NaN, plus and minus infinity, in this order, say what is no number. */
static ulong present_bits(__global const uint *digits, __global const long *counts, const uint length,
                          const int lsb, const int width, const int precision, const int least) {
  const long nan = counts[0], plus = counts[1], minus = counts[2];
  const ulong infinity = ((1UL << (width - precision)) - 1) << (precision - 1);
  if (nan != 0 || plus < 0 || minus < 0 || (plus > 0 && minus > 0)) return infinity | 1UL << (precision - 2);
  if (plus > 0) return infinity;
  if (minus > 0) return infinity | 1UL << (width - 1);
  return round_digits(digits, length, lsb, width, precision, least);
}

SHARES __kernel void present_float64(__global const uint *restrict digits,
                                     __global const long *restrict counts, const uint length, const int lsb,
                                     __global ulong *restrict values) {
  const size_t at = get_global_id(0);
  values[at] = present_bits(digits + at * length, counts + at * 3, length, lsb, 64, 53, -1022);
}

SHARES __kernel void present_float32(__global const uint *restrict digits,
                                     __global const long *restrict counts, const uint length, const int lsb,
                                     __global uint *restrict values) {
  const size_t at = get_global_id(0);
  values[at] = (uint)present_bits(digits + at * length, counts + at * 3, length, lsb, 32, 24, -126);
}
