/* Join two tables of rows, slot by slot: the later version of each, and what contradicts itself marked for good.
 *
 * A row is one burst of words: conflict, version, digest, payload. Digests stand for payloads, so that equal
 * ones need no comparison of what they are of. A conflict has zeros in every other word; so has a slot that
 * holds nothing, which is before every version.
 */

#define DIGEST_WORDS 4
#define HEAD_WORDS (2 + DIGEST_WORDS) /* as convergence_jax/fpga/join.py packs them */

SHARES __kernel void join_rows(__global const ulong *restrict a, __global const ulong *restrict b, ulong n,
                               uint payload, __global ulong *restrict joined) {
  uint width = HEAD_WORDS + payload;
  SHARE(first, last, n)
  for (ulong i = first; i < last; i++) {
    __global const ulong *restrict one = a + i * width;
    __global const ulong *restrict other = b + i * width;
    __global ulong *restrict made = joined + i * width;
    ulong differs = 0;
#pragma unroll
    for (uint k = 2; k < HEAD_WORDS; k++) differs |= one[k] ^ other[k];
    bool conflict = (one[0] | other[0]) != 0 || (one[1] == other[1] && differs != 0);
    bool later = other[1] > one[1];
    made[0] = conflict;
    PIPELINE for (uint k = 1; k < width; k++) made[k] = conflict ? 0 : later ? other[k] : one[k];
  }
}
