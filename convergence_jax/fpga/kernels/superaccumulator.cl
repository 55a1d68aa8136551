/* Exact sums of floats, read as integers from their bits.
 *
 * A finite float is sign * mantissa * 2^position units, where position is the exponent field, at least one,
 * less one, raised by what the unit of the format lies below the smallest subnormal. A deposit adds it to
 * signed 64-bit lanes, one for each digit. A lane gains less than 2^32 a float, so fewer than 2^31 floats fit
 * before canonicalise takes out the carries; the host splits what is longer.
 *
 * Each deposit has two forms. A task keeps every lane in a register with an adder of its own, and takes a
 * float every clock cycle: no address is waited for. Shares suit processors: bins in private memory, in a few
 * banks, so that one float need not wait for the one before; the bins are added to the lanes at the end.
 *
 * Every work item writes a row of lanes and a row of counts: NaN, plus infinity, minus infinity. */

#define FLOAT32_FRACTION_BITS 23                  /* IEEE 754 */
#define FLOAT32_ONE (1u << FLOAT32_FRACTION_BITS) /* the hidden bit, and a one in the exponent field */
#define FLOAT32_SIGN 0x80000000u
#define FLOAT32_INFINITY (FLOAT32_SIGN - FLOAT32_ONE)
#define FLOAT32_RAISE (-149 - FLOAT32_LSB)

#define FLOAT64_FRACTION_BITS 52
#define FLOAT64_ONE (1UL << FLOAT64_FRACTION_BITS)
#define FLOAT64_SIGN 0x8000000000000000UL
#define FLOAT64_INFINITY (FLOAT64_SIGN - FLOAT64_ONE)
#define FLOAT64_RAISE (-1074 - FLOAT64_LSB)

#define BIN_BANKS 4
#define FLOAT32_BINS (FLOAT32_SIGN >> (FLOAT32_FRACTION_BITS - 1)) /* one for each sign and exponent */
#define FLOAT64_POSITIONS 32                                       /* that share a bin */
#define FLOAT64_BIN_SHIFT (FLOAT64_FRACTION_BITS + 5)
#define FLOAT64_BINS (FLOAT64_SIGN >> (FLOAT64_BIN_SHIFT - 1))

enum { NAN_COUNT, PLUS_COUNT, MINUS_COUNT, KINDS };

/* Tasks: one float a clock cycle */

TASK __kernel void deposit_float32_task(__global const uint *restrict xs, const uint count,
                                        __global long *restrict lanes, __global long *restrict counts) {
  long sum[FLOAT32_DIGITS] REGISTERS;
  long kinds[KINDS] REGISTERS;
#pragma unroll
  for (int j = 0; j < FLOAT32_DIGITS; j++) sum[j] = 0;
#pragma unroll
  for (int j = 0; j < KINDS; j++) kinds[j] = 0;

  PIPELINE for (uint i = 0; i < count; i++) {
    const uint bits = xs[i], magnitude = bits & ~FLOAT32_SIGN;
    const uint hidden = magnitude < FLOAT32_ONE ? 0 : FLOAT32_ONE;
    const int finite = magnitude < FLOAT32_INFINITY;
    const int position = (int)((magnitude - hidden) >> FLOAT32_FRACTION_BITS) + FLOAT32_RAISE;
    const ulong mantissa = finite ? (magnitude & (FLOAT32_ONE - 1)) | hidden : 0;
    const ulong shifted = mantissa << (position % DIGIT_BITS);
    const long sign = -(long)(bits >> 31);
    const long low = ((long)(shifted & DIGIT_MASK) ^ sign) - sign;
    const long high = ((long)(shifted >> DIGIT_BITS) ^ sign) - sign;
#pragma unroll
    for (int j = 0; j < FLOAT32_DIGITS; j++) {
      const int at = j - position / DIGIT_BITS;
      sum[j] += at == 0 ? low : at == 1 ? high : 0;
    }
    kinds[NAN_COUNT] += magnitude > FLOAT32_INFINITY;
    kinds[PLUS_COUNT] += bits == FLOAT32_INFINITY;
    kinds[MINUS_COUNT] += bits == (FLOAT32_INFINITY | FLOAT32_SIGN);
  }
  for (int j = 0; j < FLOAT32_DIGITS; j++) lanes[j] = sum[j];
  for (int j = 0; j < KINDS; j++) counts[j] = kinds[j];
}

TASK __kernel void deposit_float64_task(__global const ulong *restrict xs, const uint count,
                                        __global long *restrict lanes, __global long *restrict counts) {
  long sum[FLOAT64_DIGITS] REGISTERS;
  long kinds[KINDS] REGISTERS;
#pragma unroll
  for (int j = 0; j < FLOAT64_DIGITS; j++) sum[j] = 0;
#pragma unroll
  for (int j = 0; j < KINDS; j++) kinds[j] = 0;

  PIPELINE for (uint i = 0; i < count; i++) {
    const ulong bits = xs[i], magnitude = bits & ~FLOAT64_SIGN;
    const ulong hidden = magnitude < FLOAT64_ONE ? 0 : FLOAT64_ONE;
    const int finite = magnitude < FLOAT64_INFINITY;
    const int position = (int)((magnitude - hidden) >> FLOAT64_FRACTION_BITS) + FLOAT64_RAISE;
    const ulong mantissa = finite ? (magnitude & (FLOAT64_ONE - 1)) | hidden : 0;
    const int by = position % DIGIT_BITS;
    const ulong shifted = mantissa << by, lost = (mantissa >> 1) >> (63 - by);
    const long sign = -(long)(bits >> 63);
    const long low = ((long)(shifted & DIGIT_MASK) ^ sign) - sign;
    const long middle = ((long)(shifted >> DIGIT_BITS) ^ sign) - sign;
    const long high = ((long)lost ^ sign) - sign;
#pragma unroll
    for (int j = 0; j < FLOAT64_DIGITS; j++) {
      const int at = j - position / DIGIT_BITS;
      sum[j] += at == 0 ? low : at == 1 ? middle : at == 2 ? high : 0;
    }
    kinds[NAN_COUNT] += magnitude > FLOAT64_INFINITY;
    kinds[PLUS_COUNT] += bits == FLOAT64_INFINITY;
    kinds[MINUS_COUNT] += bits == (FLOAT64_INFINITY | FLOAT64_SIGN);
  }
  for (int j = 0; j < FLOAT64_DIGITS; j++) lanes[j] = sum[j];
  for (int j = 0; j < KINDS; j++) counts[j] = kinds[j];
}

/* Shares: bins in private memory; those of negative floats come after the others */

/* Add word * 2^position, or take it away. What lies beyond the last lane is zero, or a multiple of the
 * modulus. */
static void add_word(__global long *lanes, const int length, const ulong word, const int position,
                     const int negative) {
  const int first = position / DIGIT_BITS, by = position % DIGIT_BITS;
  const ulong shifted = word << by;
  const ulong digits[3] = {shifted & DIGIT_MASK, shifted >> DIGIT_BITS, (word >> 1) >> (63 - by)};
  for (int k = 0; k < 3 && first + k < length; k++)
    lanes[first + k] += negative ? -(long)digits[k] : (long)digits[k];
}

static void bin_float32(ulong *bins, const uint bits) {
  const uint hidden = bits & FLOAT32_INFINITY ? FLOAT32_ONE : 0;
  /* Less the hidden bit, which is a one in the exponent field, the field is the position. */
  bins[(bits - hidden) >> FLOAT32_FRACTION_BITS] += (bits & (FLOAT32_ONE - 1)) | hidden;
}

SHARES __kernel void deposit_float32_shares(__global const uint *restrict xs, const uint count,
                                            __global long *restrict lanes, __global long *restrict counts) {
  ulong bins[BIN_BANKS][FLOAT32_BINS];
  const uint share = count / get_global_size(0) + 1, item = get_global_id(0);
  const uint start = min(item * share, count), end = min(start + share, count);
  lanes += item * FLOAT32_DIGITS;
  counts += item * KINDS;
  for (int j = 0; j < FLOAT32_DIGITS; j++) lanes[j] = 0;
  for (int j = 0; j < KINDS; j++) counts[j] = 0;
  for (uint j = 0; j < FLOAT32_BINS; j++)
    for (int bank = 0; bank < BIN_BANKS; bank++) bins[bank][j] = 0;

  uint i = start;
  for (; i + BIN_BANKS <= end; i += BIN_BANKS)
#pragma unroll
    for (int bank = 0; bank < BIN_BANKS; bank++) bin_float32(bins[bank], xs[i + bank]);
  for (; i < end; i++) bin_float32(bins[0], xs[i]);

  const uint positives = FLOAT32_BINS / 2,
             special = (FLOAT32_INFINITY - FLOAT32_ONE) >> FLOAT32_FRACTION_BITS;
  ulong specials = 0;
  for (uint j = 0; j < FLOAT32_BINS; j++)
    for (int bank = 0; bank < BIN_BANKS; bank++) {
      const ulong word = bins[bank][j];
      if (j % positives == special)
        specials |= word;
      else if (word)
        add_word(lanes, FLOAT32_DIGITS, word, (int)(j % positives) + FLOAT32_RAISE, j >= positives);
    }
  /* NaN and infinities have bins of their own and are rare: only if there are any are they told apart. */
  if (specials)
    for (i = start; i < end; i++) {
      const uint bits = xs[i];
      counts[NAN_COUNT] += (bits & ~FLOAT32_SIGN) > FLOAT32_INFINITY;
      counts[PLUS_COUNT] += bits == FLOAT32_INFINITY;
      counts[MINUS_COUNT] += bits == (FLOAT32_INFINITY | FLOAT32_SIGN);
    }
}

/* A bin of 128 bits: positions that share one spread a mantissa over 84 bits, and 2^44 of those fit. */
typedef struct {
  ulong low, high;
} Bin;

static void bin_float64(Bin *bins, const ulong bits, const ulong hidden, const ulong mantissa) {
  const ulong place = bits - hidden;
  const uint by = (place >> FLOAT64_FRACTION_BITS) % FLOAT64_POSITIONS;
  const ulong shifted = mantissa << by, lost = (mantissa >> 1) >> (63 - by);
  Bin *bin = &bins[place >> FLOAT64_BIN_SHIFT];
  const ulong low = bin->low + shifted;
  bin->low = low;
  bin->high += lost + (low < shifted);
}

SHARES __kernel void deposit_float64_shares(__global const ulong *restrict xs, const uint count,
                                            __global long *restrict lanes, __global long *restrict counts) {
  Bin bins[BIN_BANKS][FLOAT64_BINS];
  const uint share = count / get_global_size(0) + 1, item = get_global_id(0);
  const uint start = min(item * share, count), end = min(start + share, count);
  lanes += item * FLOAT64_DIGITS;
  counts += item * KINDS;
  for (int j = 0; j < FLOAT64_DIGITS; j++) lanes[j] = 0;
  for (int j = 0; j < KINDS; j++) counts[j] = 0;
  for (uint j = 0; j < FLOAT64_BINS; j++)
    for (int bank = 0; bank < BIN_BANKS; bank++) bins[bank][j].low = bins[bank][j].high = 0;

  for (uint i = start; i < end; i += BIN_BANKS)
#pragma unroll
    for (uint bank = 0; bank < BIN_BANKS; bank++) {
      const ulong bits = i + bank < end ? xs[i + bank] : 0, magnitude = bits & ~FLOAT64_SIGN;
      if (magnitude >= FLOAT64_INFINITY) {
        counts[NAN_COUNT] += magnitude > FLOAT64_INFINITY;
        counts[PLUS_COUNT] += bits == FLOAT64_INFINITY;
        counts[MINUS_COUNT] += bits == (FLOAT64_INFINITY | FLOAT64_SIGN);
        continue;
      }
      const ulong hidden = magnitude < FLOAT64_ONE ? 0 : FLOAT64_ONE;
      bin_float64(bins[bank], bits, hidden, (bits & (FLOAT64_ONE - 1)) | hidden);
    }

  const uint positives = FLOAT64_BINS / 2;
  for (uint j = 0; j < FLOAT64_BINS; j++)
    for (int bank = 0; bank < BIN_BANKS; bank++) {
      const int position = (int)(j % positives) * FLOAT64_POSITIONS + FLOAT64_RAISE;
      add_word(lanes, FLOAT64_DIGITS, bins[bank][j].low, position, j >= positives);
      add_word(lanes, FLOAT64_DIGITS, bins[bank][j].high, position + 64, j >= positives);
    }
}

/* The sum of rows of integers, lanes or counts: one work item a column. */
SHARES __kernel void merge_rows(__global const long *restrict rows, const uint count,
                                __global long *restrict sums) {
  const size_t column = get_global_id(0), columns = get_global_size(0);
  long sum = 0;
  for (uint i = 0; i < count; i++) sum += rows[i * columns + column];
  sums[column] = sum;
}
