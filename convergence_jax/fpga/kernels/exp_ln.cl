/* exp and ln in integers, step by step as convergence_jax/exact/exp_ln.py: the same bits.
 *
 * A real is whole + fraction * 2^-64; a positive number of any size is mantissa * 2^(exponent - 63), with the
 * leading one of the mantissa on top.
 */

typedef struct {
  long whole;
  ulong fraction;
} real;

typedef struct {
  long exponent;
  ulong mantissa;
} scaled;

#define LENGTH(TABLE) (int)(sizeof(TABLE) / sizeof(TABLE[0]))

/* a * b / 2^64, rounded down: one instruction where the processor has it. */
#if defined(TARGET_CPU) && defined(__SIZEOF_INT128__)
#define MULTIPLY_HIGH(A, B) (ulong)(((unsigned __int128)(A) * (B)) >> 64)
#else
#define MULTIPLY_HIGH(A, B) mul_hi((ulong)(A), (ulong)(B))
#endif

/* c[0] + sign * t * (c[1] + sign * t * (...)), every product rounded down. */
static ulong polynomial(ulong t, __constant const ulong *c, int length, bool plus) {
  ulong total = c[length - 1];
#pragma unroll
  for (int n = length - 2; n >= 0; n--) {
    const ulong product = MULTIPLY_HIGH(t, total);
    total = plus ? c[n] + product : c[n] - product;
  }
  return total;
}

static real sum_of(real a, real b) {
  ulong fraction = a.fraction + b.fraction;
  real sum = {a.whole + b.whole + (fraction < a.fraction), fraction};
  return sum;
}

/* n times a number below one, in three digits. */
static real times(long n, __constant const uint *digits) {
  long first = n * (long)digits[0], second = n * (long)digits[1], third = n * (long)digits[2];
  long low = second + ((third + (1L << (DIGIT_BITS - 1))) >> DIGIT_BITS);
  long high = (long)((ulong)first & DIGIT_MASK) + (low >> DIGIT_BITS);
  real product = {(first >> DIGIT_BITS) + (high >> DIGIT_BITS),
                  ((ulong)high << DIGIT_BITS) | ((ulong)low & DIGIT_MASK)};
  return product;
}

/* word / 2^by for by below 64, rounded to nearest, ties up. */
static ulong shift_down(ulong word, ulong by) { return (word >> by) + (((word << 1) >> by) & 1); }

/* The nearest real to a double, given by its bits: ties to even. */
static real real_of(ulong bits) {
  int field = (int)(bits >> 52) & 0x7ff;
  ulong mantissa = (bits & ((1UL << 52) - 1)) | ((ulong)(field > 0) << 52);
  int exponent = max(field, 1) - 1023, up = exponent + 12; /* to units of 2^-64 */
  real made = {0, 0};
  if (exponent >= 62) {
    made.whole = 1L << 62; /* an infinity and a NaN too; what they mean is for the caller to say */
  } else if (up >= 64) {
    made.whole = (long)(mantissa << (up - 64));
  } else if (up >= 0) {
    made.whole = (long)((mantissa >> 1) >> (63 - up));
    made.fraction = mantissa << up;
  } else {
    int down = min(-up, 54); /* 54 leaves less than half a unit */
    ulong kept = mantissa >> down, rest = mantissa - (kept << down);
    made.fraction = kept + ((rest << 1) + (kept & 1) > 1UL << down);
  }
  if (bits >> 63) {
    made.whole = -made.whole - (made.fraction != 0);
    made.fraction = ~made.fraction + 1;
  }
  return made;
}

static scaled exp_of(real x) {
  long whole = clamp(x.whole, (long)INT_MIN, (long)INT_MAX);
  real held = {whole, x.fraction}, more = {0, MULTIPLY_HIGH(x.fraction, LOG2E)};
  real power = sum_of(sum_of(held, times(whole, LOG2E_DIGITS)), more);
  ulong t = power.fraction << 8;
  ulong slope = polynomial(t, EXP_COEFFICIENTS, LENGTH(EXP_COEFFICIENTS), true);
  ulong base = EXP_TABLE[power.fraction >> 56];
  ulong inner = MULTIPLY_HIGH(t, slope), growth = MULTIPLY_HIGH(base, inner);
  scaled made = {power.whole, base + ((growth + 128) >> 8)};
  return made;
}

static real ln_of(scaled x) {
  ulong high = x.mantissa, index = (high >> 55) & 0xff, factor = RECIPROCALS[index], shift = LN_SHIFTS[index];
  /* t = (z * factor / 2^16 - 1) * 2^71, rounded down, of the mantissa z between one and two */
  ulong upper = (high >> DIGIT_BITS) * factor - (1UL << 47), lower = (high & DIGIT_MASK) * factor;
  ulong t = (upper << 24) + (lower >> 8);
  ulong rest = polynomial(t, LN_COEFFICIENTS, LENGTH(LN_COEFFICIENTS), false);
  ulong off = MULTIPLY_HIGH(t, rest), lost = MULTIPLY_HIGH(t, off);
  ulong total = LN_TABLE[index] + shift_down(t - lost, shift);
  real part = {0, shift_down(total, 7 - shift)};
  return sum_of(times(clamp(x.exponent, -(long)INT_MAX, (long)INT_MAX), LN2_DIGITS), part);
}

/* Rows from FIRST to LAST of N for this work item: an equal share. */
#define SHARE(FIRST, LAST, N)                                                                                \
  const ulong items = get_global_size(0), item = get_global_id(0);                                           \
  const ulong FIRST = (N) / items * item + min((N) % items, item);                                           \
  const ulong LAST = FIRST + (N) / items + (item < (N) % items);

SHARES __kernel void exp_of_reals(__global const long *restrict whole,
                                  __global const ulong *restrict fraction, ulong n,
                                  __global long *restrict exponent, __global ulong *restrict mantissa) {
  SHARE(first, last, n)
  PIPELINE for (ulong i = first; i < last; i++) {
    const real x = {whole[i], fraction[i]};
    const scaled made = exp_of(x);
    exponent[i] = made.exponent;
    mantissa[i] = made.mantissa;
  }
}

SHARES __kernel void exp_of_floats(__global const ulong *restrict bits, ulong n,
                                   __global long *restrict exponent, __global ulong *restrict mantissa) {
  SHARE(first, last, n)
  PIPELINE for (ulong i = first; i < last; i++) {
    const scaled made = exp_of(real_of(bits[i]));
    exponent[i] = made.exponent;
    mantissa[i] = made.mantissa;
  }
}

SHARES __kernel void ln_of_scaled(__global const long *restrict exponent,
                                  __global const ulong *restrict mantissa, ulong n,
                                  __global long *restrict whole, __global ulong *restrict fraction) {
  SHARE(first, last, n)
  PIPELINE for (ulong i = first; i < last; i++) {
    const scaled x = {exponent[i], mantissa[i]};
    const real made = ln_of(x);
    whole[i] = made.whole;
    fraction[i] = made.fraction;
  }
}
