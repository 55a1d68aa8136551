/* Sums of exponentials as convergence_jax/exact/log_sum_exp.py: a row of lanes, then of counts, a work item.
 *
 * A lane gains less than 2^33 a number, so 2^30 of them fit together, whoever adds them.
 */

#define COUNTS 3 /* NaN, plus infinity, out of range */
#define EXPONENTIAL_ROW (EXPONENTIAL_DIGITS + COUNTS)

typedef struct {
  ulong digits[3];
  uint chunk;
} placed;

/* Digits of exp(x) and where they begin, x given by its bits; all zero for what is not held. */
static placed exponential_of(ulong bits, ulong range) {
  const bool held = (bits & ~(1UL << 63)) < range;
  const scaled made = exp_of(real_of(bits));
  const ulong mantissa = held ? made.mantissa : 0;
  const uint position = held ? (uint)(made.exponent - (63 + EXPONENTIAL_LSB)) : 0, by = position % DIGIT_BITS;
  const ulong low = (mantissa & DIGIT_MASK) << by, high = (mantissa >> DIGIT_BITS) << by;
  const placed term = {{low & DIGIT_MASK, (low >> DIGIT_BITS) + (high & DIGIT_MASK), high >> DIGIT_BITS},
                       position / DIGIT_BITS};
  return term;
}

static void count_faults(ulong bits, ulong range, long *count) {
  const ulong magnitude = bits & ~(1UL << 63), infinity = 0x7ffUL << 52;
  count[0] += magnitude > infinity;
  count[1] += bits == infinity;
  count[2] += magnitude >= range && magnitude < infinity;
}

/* Every lane a register with an adder of its own, so that numbers may follow each other every clock cycle. */
TASK __kernel void exponential_task(__global const ulong *restrict bits, ulong n, uint columns, uint column,
                                    ulong range, __global long *restrict row) {
  long lanes[EXPONENTIAL_DIGITS] REGISTERS;
  long count[COUNTS] REGISTERS;
#pragma unroll
  for (int k = 0; k < EXPONENTIAL_DIGITS; k++) lanes[k] = 0;
#pragma unroll
  for (int k = 0; k < COUNTS; k++) count[k] = 0;
  PIPELINE for (ulong i = 0; i < n; i++) {
    ulong x = bits[i * columns + column];
    placed term = exponential_of(x, range);
#pragma unroll
    for (uint k = 0; k < EXPONENTIAL_DIGITS; k++) {
      uint place = k - term.chunk;
      lanes[k] += (long)((place == 0 ? term.digits[0] : 0) + (place == 1 ? term.digits[1] : 0) +
                         (place == 2 ? term.digits[2] : 0));
    }
    count_faults(x, range, count);
  }
  for (int k = 0; k < EXPONENTIAL_DIGITS; k++) row[k] = lanes[k];
  for (int k = 0; k < COUNTS; k++) row[EXPONENTIAL_DIGITS + k] = count[k];
}

/* The same where memory answers at once: only the three lanes of a number are touched. */
SHARES __kernel void exponential_shares(__global const ulong *restrict bits, ulong n, uint columns,
                                        uint column, ulong range, __global long *restrict rows) {
  long lanes[EXPONENTIAL_DIGITS], count[COUNTS] = {0};
  for (int k = 0; k < EXPONENTIAL_DIGITS; k++) lanes[k] = 0;
  SHARE(first, last, n)
  for (ulong i = first; i < last; i++) {
    ulong x = bits[i * columns + column];
    placed term = exponential_of(x, range);
    for (uint k = 0; k < 3; k++) lanes[term.chunk + k] += (long)term.digits[k];
    count_faults(x, range, count);
  }
  __global long *restrict row = rows + get_global_id(0) * EXPONENTIAL_ROW;
  for (int k = 0; k < EXPONENTIAL_DIGITS; k++) row[k] = lanes[k];
  for (int k = 0; k < COUNTS; k++) row[EXPONENTIAL_DIGITS + k] = count[k];
}
