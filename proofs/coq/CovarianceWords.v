(** The short way to a covariance: numerators as two 64-bit words.

    Models [_covariance_words], [_multiply_words] and [_short] of convergence_jax/statistics/covariance.py, in
    [uint64] operations that wrap around. Proves that the words are those of [n * S_ij - S_i * S_j] modulo
    [2^128] for every count below [2^32]; that under the conditions on which [mean_and_covariance] takes this
    way they are within what [round_quotient] of exact/quotient.py asks for; and that no answer is subnormal
    or infinite there. *)
From Coq Require Import ZArith List Lia Reals Lra Bool.
From Flocq Require Import Core.
From Convergence Require Import Constants SignedDigits Spread Moments NearestInteger FixedPoint RoundedRatios.
Import ListNotations.
Open Scope Z_scope.

(** Constants of exact/quotient.py and statistics/covariance.py. *)
Definition DENOMINATOR_BITS : Z := 50.
Definition NUMERATOR_BITS : Z := 120.
Definition EXPONENT_LIMIT : Z := 800.
Definition SHORT_COUNT : Z := 2 ^ (DENOMINATOR_BITS / 2).
Definition NEAR : Z := 400.

(** ** Words *)

Definition WORD : Z := 2 ^ (2 * DIGIT_BITS).
Definition is_word (x : Z) : Prop := 0 <= x < WORD.
(** A [uint64] operation wraps around. *)
Definition wrap (x : Z) : Z := x mod WORD.
(** The signed reading of a word, or of the upper word of two. *)
Definition signed_word (x : Z) : Z := if x <? 2 ^ (2 * DIGIT_BITS - 1) then x else x - WORD.

Definition lower (x : Z) : Z := Z.land x DIGIT_MASK.
Definition upper (x : Z) : Z := Z.shiftr x DIGIT_BITS.
(** [(x << 32) | y] *)
Definition join (x y : Z) : Z := Z.lor (wrap (Z.shiftl x DIGIT_BITS)) y.

(** [_multiply_words]: low and high word *)
Definition multiply_words (a b : Z) : Z * Z :=
  let p := wrap (lower a * lower b) in
  let q := wrap (upper a * lower b + upper p) in
  let r := wrap (lower a * upper b + lower q) in
  let high := wrap (upper a * upper b + upper q + upper r) in
  let signs := wrap ((if Z.shiftr a (2 * DIGIT_BITS - 1) =? 0 then 0 else b)
                     + (if Z.shiftr b (2 * DIGIT_BITS - 1) =? 0 then 0 else a)) in
  (join r (lower p), wrap (high - signs)).

(** [_covariance_words] *)
Definition covariance_words (n a b low high : Z) : Z * Z :=
  let p := wrap (n * lower low) in
  let q := wrap (n * upper low + upper p) in
  let low_np := join q (lower p) in
  let high_np := wrap (n * high + upper q) in
  let (low_ab, high_ab) := multiply_words a b in
  (wrap (low_np - low_ab), wrap (high_np - high_ab - (if low_np <? low_ab then 1 else 0))).

Lemma split_word (x : Z) : x = lower x + BASE * upper x /\ 0 <= lower x < BASE.
Proof.
  unfold lower, upper. rewrite low_digit, Z.shiftr_div_pow2 by discriminate. fold BASE.
  pose proof (Z.div_mod x BASE ltac:(discriminate)). pose proof (Z.mod_pos_bound x BASE base_is_positive).
    lia.
Qed.

Lemma word_is_two_digits : WORD = BASE * BASE.
Proof. reflexivity. Qed.

Lemma split_of_word (x : Z) : is_word x -> 0 <= upper x < BASE.
Proof.
  intros Hx. destruct (split_word x) as [Hsplit Hlower]. unfold is_word in Hx. rewrite word_is_two_digits in
    Hx.
  pose proof base_is_positive. nia.
Qed.

Lemma wrap_of_word (x : Z) : is_word x -> wrap x = x.
Proof. apply Z.mod_small. Qed.

Lemma wrap_is_word (x : Z) : is_word (wrap x).
Proof. apply Z.mod_pos_bound. reflexivity. Qed.

Lemma wrap_difference (x : Z) : exists c, wrap x = x - c * WORD.
Proof. exists (x / WORD). unfold wrap. rewrite Z.mod_eq by discriminate. ring. Qed.

(** Bits that do not meet are added. *)
Lemma join_is_a_sum (x y : Z) : 0 <= y < BASE -> join x y = wrap (BASE * x) + y.
Proof.
  intros Hy. unfold join. rewrite Z.shiftl_mul_pow2 by discriminate. fold BASE.
  replace (wrap (x * BASE)) with ((x mod BASE) * BASE).
  2: { unfold wrap. rewrite word_is_two_digits. symmetry. now apply Z.mul_mod_distr_r. }
  replace (wrap (BASE * x)) with ((x mod BASE) * BASE).
  2: { unfold wrap. rewrite word_is_two_digits, (Z.mul_comm BASE x). symmetry. now apply Z.mul_mod_distr_r. }
  assert (Z.land (x mod BASE * BASE) y = 0) as Hapart.
  { apply Z.bits_inj'. intros k Hk. rewrite Z.land_spec, Z.bits_0.
    destruct (Z.lt_ge_cases k DIGIT_BITS).
    - unfold BASE. rewrite Z.mul_pow2_bits_low by assumption. reflexivity.
    - rewrite <- (Z.mod_small y BASE Hy). unfold BASE. rewrite (Z.mod_pow2_bits_high y) by (split; easy).
      apply andb_false_r. }
  rewrite <- Z.lxor_lor by assumption. symmetry. now apply Z.add_nocarry_lxor.
Qed.

Lemma negative_factor (a b : Z) :
  is_word a -> (if Z.shiftr a (2 * DIGIT_BITS - 1) =? 0 then 0 else b) =
    (if a <? 2 ^ (2 * DIGIT_BITS - 1) then 0 else b).
Proof.
  intros Ha. unfold is_word in Ha. rewrite Z.shiftr_div_pow2 by discriminate.
  destruct (Z.ltb_spec a (2 ^ (2 * DIGIT_BITS - 1))) as [H | H].
  - rewrite Z.div_small by lia. reflexivity.
  - replace (a / _) with 1; [reflexivity|].
    apply Z.div_unique_pos with (a - 2 ^ (2 * DIGIT_BITS - 1)); unfold WORD, DIGIT_BITS in *; lia.
Qed.

(** Two words as one number, modulo [2^128]. *)
Definition two_words (words : Z * Z) (x : Z) : Prop :=
  is_word (fst words) /\ is_word (snd words) /\ exists c, fst words + WORD * snd words = x + c *
    (WORD * WORD).

Lemma join_of_digits (r low : Z) :
  is_word r -> 0 <= low < BASE -> join r low = BASE * lower r + low /\ is_word (join r low).
Proof.
  intros Hr Hlow. rewrite join_is_a_sum by assumption. destruct (split_word r) as [Hsplit Hlower].
  assert (wrap (BASE * r) = BASE * lower r) as ->.
  { unfold wrap. rewrite Hsplit at 1. rewrite word_is_two_digits.
    symmetry. apply Z.mod_unique_pos with (upper r); [pose proof base_is_positive; nia|ring]. }
  split; [reflexivity|]. unfold is_word. rewrite word_is_two_digits. nia.
Qed.

Theorem multiply_words_is_the_signed_product (a b : Z) :
  is_word a -> is_word b -> two_words (multiply_words a b) (signed_word a * signed_word b).
Proof.
  intros Ha Hb. unfold multiply_words. rewrite !negative_factor by assumption.
  destruct (split_word a) as [Ea La], (split_word b) as [Eb Lb].
  pose proof (split_of_word a Ha) as Ua. pose proof (split_of_word b Hb) as Ub. pose proof base_is_positive as
    HB.
  assert (forall x y z t, 0 <= x < BASE -> 0 <= y < BASE -> 0 <= z < BASE -> 0 <= t < BASE ->
          is_word (x * y + z + t)) as Hfits.
  { intros. unfold is_word. rewrite word_is_two_digits. nia. }
  assert (is_word (lower a * lower b)) as Wp.
  { specialize (Hfits (lower a) (lower b) 0 0 La Lb). rewrite !Z.add_0_r in Hfits. apply Hfits; lia. }
  rewrite (wrap_of_word (lower a * lower b)) by assumption. set (p := lower a * lower b) in *.
  destruct (split_word p) as [Ep Lp]. pose proof (split_of_word p Wp) as Up.
  assert (is_word (upper a * lower b + upper p)) as Wq.
  { rewrite <- Z.add_0_r. apply Hfits; lia. }
  rewrite (wrap_of_word (upper a * lower b + upper p)) by assumption. set (q := upper a * lower b + upper p)
    in *.
  destruct (split_word q) as [Eq Lq]. pose proof (split_of_word q Wq) as Uq.
  assert (is_word (lower a * upper b + lower q)) as Wr.
  { rewrite <- Z.add_0_r. apply Hfits; lia. }
  rewrite (wrap_of_word (lower a * upper b + lower q)) by assumption. set (r := lower a * upper b + lower q)
    in *.
  destruct (split_word r) as [Er Lr]. pose proof (split_of_word r Wr) as Ur.
  rewrite (wrap_of_word (upper a * upper b + upper q + upper r)) by (apply Hfits; assumption).
  destruct (join_of_digits r (lower p) Wr Lp) as [Hjoin Wjoin].
  unfold two_words. cbn [fst snd]. split; [assumption|]. split; [apply wrap_is_word|].
  set (signs := wrap (_ + (if b <? _ then 0 else a))).
  set (high := upper a * upper b + upper q + upper r) in *.
  destruct (wrap_difference (high - signs)) as [c ->].
  assert (exists d, signs = (if a <? 2 ^ (2 * DIGIT_BITS - 1) then 0 else b)
                            + (if b <? 2 ^ (2 * DIGIT_BITS - 1) then 0 else a) - d * WORD) as [d ->]
    by apply wrap_difference.
  assert (BASE * lower r + lower p + WORD * high = a * b) as Hproduct.
  { rewrite word_is_two_digits. rewrite Ea, Eb at 1. unfold high.
    replace (lower r) with (r - BASE * upper r) by lia. unfold r.
    replace (lower q) with (q - BASE * upper q) by lia. unfold q.
    replace (lower p) with (p - BASE * upper p) by lia. unfold p. ring. }
  rewrite Hjoin. unfold signed_word.
  destruct (a <? 2 ^ (2 * DIGIT_BITS - 1)), (b <? 2 ^ (2 * DIGIT_BITS - 1)).
  - exists (d - c). rewrite <- Hproduct. ring.
  - exists (d - c). replace (a * (b - WORD)) with (a * b - a * WORD) by ring. rewrite <- Hproduct. ring.
  - exists (d - c). replace ((a - WORD) * b) with (a * b - b * WORD) by ring. rewrite <- Hproduct. ring.
  - exists (d - c - 1). replace ((a - WORD) * (b - WORD)) with (a * b - a * WORD - b * WORD + WORD * WORD) by
    ring.
    rewrite <- Hproduct. ring.
Qed.

Theorem covariance_words_are_the_numerator (n a b low high : Z) :
  0 <= n < 2 ^ COUNT_BITS -> is_word a -> is_word b -> is_word low -> is_word high ->
  two_words (covariance_words n a b low high)
    (n * (low + WORD * signed_word high) - signed_word a * signed_word b).
Proof.
  intros Hn Ha Hb Hlow Hhigh. unfold COUNT_BITS in Hn. change (2 ^ 32) with BASE in Hn.
  destruct (multiply_words_is_the_signed_product a b Ha Hb) as (Wl & Wh & e & He).
  unfold covariance_words. destruct (multiply_words a b) as [low_ab high_ab]. cbn [fst snd] in *.
  pose proof base_is_positive as HB.
  destruct (split_word low) as [El Ll]. pose proof (split_of_word low Hlow) as Ul.
  assert (is_word (n * lower low)) as Wp by (unfold is_word; rewrite word_is_two_digits; nia).
  rewrite (wrap_of_word (n * lower low)) by assumption. set (p := n * lower low) in *.
  destruct (split_word p) as [Ep Lp]. pose proof (split_of_word p Wp) as Up.
  assert (is_word (n * upper low + upper p)) as Wq by (unfold is_word; rewrite word_is_two_digits; nia).
  rewrite (wrap_of_word (n * upper low + upper p)) by assumption. set (q := n * upper low + upper p) in *.
  destruct (split_word q) as [Eq Lq].
  destruct (join_of_digits q (lower p) Wq Lp) as [Hjoin Wjoin].
  set (low_np := join q (lower p)) in *. unfold two_words. cbn [fst snd].
  split; [apply wrap_is_word|]. split; [apply wrap_is_word|].
  destruct (wrap_difference (wrap (n * high + upper q) - high_ab - (if low_np <? low_ab then 1 else 0))) as
    [c ->].
  destruct (wrap_difference (n * high + upper q)) as [d ->].
  assert (wrap (low_np - low_ab) = low_np - low_ab + (if low_np <? low_ab then 1 else 0) * WORD) as ->.
  { unfold is_word in *. unfold wrap. destruct (Z.ltb_spec low_np low_ab).
    - symmetry. apply Z.mod_unique_pos with (-1); lia.
    - rewrite Z.mod_small by lia. ring. }
  assert (low_np + WORD * upper q = n * low) as Hlow_product.
  { rewrite word_is_two_digits, Hjoin. rewrite El at 1.
    replace (lower q) with (q - BASE * upper q) by lia. unfold q.
    replace (lower p) with (p - BASE * upper p) by lia. unfold p. ring. }
  set (borrow := if low_np <? low_ab then 1 else 0).
  assert (exists s, signed_word high = high - s * WORD) as [s ->].
  { unfold signed_word. destruct (high <? _); [exists 0; ring|exists 1; ring]. }
  exists (n * s - c - d - e).
  replace (low_np - low_ab + borrow * WORD + WORD *
    (n * high + upper q - d * WORD - high_ab - borrow - c * WORD))
    with (low_np + WORD * upper q + WORD * n * high - (low_ab + WORD * high_ab) - (c + d) * (WORD * WORD)) by
      ring.
  rewrite Hlow_product, He. ring.
Qed.

(** Where the numerator fits two signed words, they are the numerator. *)
Theorem two_words_that_fit (words : Z * Z) (x : Z) :
  two_words words x -> - 2 ^ (4 * DIGIT_BITS - 1) <= x < 2 ^ (4 * DIGIT_BITS - 1) ->
  fst words + WORD * signed_word (snd words) = x.
Proof.
  destruct words as [low high]. intros (Hlow & Hhigh & c & Hc) Hx. cbn [fst snd] in *.
  unfold is_word, signed_word in *. change WORD with 18446744073709551616 in *.
  change (2 ^ (2 * DIGIT_BITS - 1)) with 9223372036854775808.
  change (2 ^ (4 * DIGIT_BITS - 1)) with (9223372036854775808 * 18446744073709551616) in Hx.
  destruct (Z.ltb_spec high 9223372036854775808); lia.
Qed.

(** ** What [round_quotient] is given *)
Section Short.
Set Default Proof Using "Type".
Variable observations : list (list Z).
Hypothesis Hrange : Forall (within_range false) observations.
Let n := Z.of_nat (length observations).
Hypothesis Hcount : n < SHORT_COUNT.

Lemma short_numerator_bound (i j : nat) :
  Z.abs (n * product_sum i j observations - tick_sum i observations * tick_sum j observations)
  <= 2 * (n * (2 ^ NARROW_BITS - 1)) ^ 2.
Proof using Hrange. exact (numerator_bound false observations Hrange i j). Qed.

Lemma short_count : 0 <= n <= 2 ^ 25 - 1.
Proof using Hcount. unfold n in *. change SHORT_COUNT with (2 ^ 25) in Hcount. lia. Qed.

Theorem short_covariances_fit_round_quotient (i j : nat) :
  2 <= n ->
  Z.abs (n * product_sum i j observations - tick_sum i observations * tick_sum j observations) < 2 ^
    NUMERATOR_BITS
  /\ 1 <= n * (n - 1) < 2 ^ DENOMINATOR_BITS.
Proof using Hrange Hcount.
  intros Hn. pose proof (short_numerator_bound i j) as Hbound. pose proof short_count as Hshort. split.
  - eapply Z.le_lt_trans; [exact Hbound|].
    apply Z.le_lt_trans with (2 * ((2 ^ 25 - 1) * (2 ^ NARROW_BITS - 1)) ^ 2); [|reflexivity].
    apply Z.mul_le_mono_nonneg_l; [easy|]. apply Z.pow_le_mono_l. split.
    + apply Z.mul_nonneg_nonneg; [lia|easy].
    + apply Z.mul_le_mono_nonneg_r; [easy|lia].
  - split; [nia|]. unfold DENOMINATOR_BITS. apply Z.le_lt_trans with ((2 ^ 25 - 1) * (2 ^ 25 - 2));
    [|reflexivity].
    apply Z.mul_le_mono_nonneg; lia.
Qed.

Theorem short_means_fit_round_quotient (i : nat) :
  1 <= n -> Z.abs (tick_sum i observations) < 2 ^ NUMERATOR_BITS /\ 1 <= n < 2 ^ DENOMINATOR_BITS.
Proof using Hrange Hcount.
  intros Hn. pose proof (tick_sum_bound false observations Hrange i) as Hbound. fold n in Hbound.
  pose proof short_count as Hshort. unfold NUMERATOR_BITS, DENOMINATOR_BITS in *.
  change (tick_bits false) with 31 in Hbound. lia.
Qed.
(** From the words of a state to the words of the numerator, without loss. *)
Theorem short_numerator_is_exact (i j : nat) :
  let product := product_sum i j observations in
  let words := covariance_words n (wrap (tick_sum i observations)) (wrap (tick_sum j observations))
                 (wrap product) (wrap (product / WORD)) in
  fst words + WORD * signed_word (snd words) = n * product - tick_sum i observations * tick_sum j
    observations.
Proof using Hrange Hcount.
  intros product words. pose proof short_count as Hn.
  assert (Z.of_nat (length observations) < 2 ^ COUNT_BITS) as Hmany.
  { fold n. unfold COUNT_BITS. lia. }
  pose proof (sums_fit false observations Hrange Hmany i) as Hi.
  pose proof (sums_fit false observations Hrange Hmany j) as Hj.
  pose proof (products_fit false observations Hrange Hmany i j) as Hij. fold product in Hij.
  pose proof (numerators_fit false observations Hrange Hmany i j) as Hnumerator. fold n product in Hnumerator.
  assert (forall x, - 2 ^ (2 * DIGIT_BITS - 1) <= x < 2 ^ (2 * DIGIT_BITS - 1) -> signed_word (wrap x) = x) as
    Hsigned.
  { intros x Hx. change (2 ^ (2 * DIGIT_BITS - 1)) with 9223372036854775808 in *. unfold signed_word, wrap.
    change WORD with 18446744073709551616. change (2 ^ (2 * DIGIT_BITS - 1)) with 9223372036854775808.
    destruct (Z.lt_ge_cases x 0).
    - rewrite <- (Z.mod_unique_pos x 18446744073709551616 (-1) (x + 18446744073709551616)) by lia.
      destruct (Z.ltb_spec (x + 18446744073709551616) 9223372036854775808); lia.
    - rewrite Z.mod_small by lia. destruct (Z.ltb_spec x 9223372036854775808); lia. }
  apply two_words_that_fit; [|exact Hnumerator].
  replace (n * product - tick_sum i observations * tick_sum j observations)
    with (n * (wrap product + WORD * signed_word (wrap (product / WORD)))
          - signed_word (wrap (tick_sum i observations)) * signed_word (wrap (tick_sum j observations))).
  - apply covariance_words_are_the_numerator; try apply wrap_is_word. unfold COUNT_BITS. lia.
  - rewrite (Hsigned (tick_sum i _) Hi), (Hsigned (tick_sum j _) Hj), Hsigned.
    + unfold wrap. pose proof (Z.div_mod product WORD ltac:(discriminate)) as Hsplit. rewrite Hsplit at 3.
      ring.
    + unfold fits in Hij. change (2 ^ (DIGIT_BITS * Z.of_nat (product_digits false) - 1))
      with (2 ^ (2 * DIGIT_BITS - 1) * WORD) in Hij.
      split; [apply Z.div_le_lower_bound; [reflexivity|lia]|apply Z.div_lt_upper_bound; [reflexivity|lia]].
Qed.
End Short.

(** Scales up to [NEAR] keep the exponent within its limit, and every answer is zero or a normal float. *)
Theorem short_answers_are_normal (num den exponent : Z) :
  Z.abs num < 2 ^ NUMERATOR_BITS -> 1 <= den < 2 ^ DENOMINATOR_BITS -> Z.abs exponent <= EXPONENT_LIMIT ->
  num <> 0 ->
  (bpow radix2 (-1022) <= Rabs (IZR num / IZR den * bpow radix2 exponent) < bpow radix2 1023)%R.
Proof.
  intros Hnum Hden Hexponent Hsome. unfold NUMERATOR_BITS, DENOMINATOR_BITS, EXPONENT_LIMIT in *.
  assert (0 < IZR den)%R as Hd by (apply IZR_lt; lia).
  unfold Rdiv. rewrite !Rabs_mult, Rabs_inv, (Rabs_pos_eq (bpow _ _)) by apply bpow_ge_0.
  rewrite (Rabs_pos_eq (IZR den)) by lra. rewrite <- abs_IZR.
  assert (1 <= IZR (Z.abs num) < bpow radix2 120)%R as [Hn1 Hn2].
  { rewrite <- power_of_two by lia. split; [apply IZR_le|apply IZR_lt]; lia. }
  assert (1 <= IZR den < bpow radix2 50)%R as [Hd1 Hd2].
  { rewrite <- power_of_two by lia. split; [apply IZR_le|apply IZR_lt]; lia. }
  assert (bpow radix2 (-50) <= / IZR den <= 1)%R as [Hi1 Hi2].
  { change (-50) with (- (50)). rewrite bpow_opp. split.
    - apply Rinv_le; lra.
    - rewrite <- Rinv_1. apply Rinv_le; lra. }
  assert (bpow radix2 (-800) <= bpow radix2 exponent <= bpow radix2 800)%R as [He1 He2].
  { split; apply bpow_le; lia. }
  pose proof (bpow_gt_0 radix2 exponent) as He0.
  split.
  - apply Rle_trans with (bpow radix2 (-50) * bpow radix2 (-800))%R.
    + rewrite <- bpow_plus. apply bpow_le. lia.
    + apply Rmult_le_compat; try apply bpow_ge_0; [|assumption].
      rewrite <- (Rmult_1_l (bpow radix2 (-50))). apply Rmult_le_compat; try apply bpow_ge_0; lra.
  - apply Rle_lt_trans with (bpow radix2 120 * bpow radix2 800)%R.
    + apply Rmult_le_compat; try apply bpow_ge_0; [| |assumption].
      * apply Rmult_le_pos; [lra|]. pose proof (bpow_gt_0 radix2 (-50)). lra.
      * rewrite <- (Rmult_1_r (bpow radix2 120)). pose proof (bpow_gt_0 radix2 (-50)).
        apply Rmult_le_compat; lra.
    + rewrite <- bpow_plus. now apply bpow_lt.
Qed.

Theorem near_scales_keep_the_exponent (scale_i scale_j : Z) :
  Z.abs scale_i <= NEAR -> Z.abs scale_j <= NEAR ->
  Z.abs (- scale_i) <= EXPONENT_LIMIT /\ Z.abs (- scale_i + - scale_j) <= EXPONENT_LIMIT.
Proof. unfold NEAR, EXPONENT_LIMIT. lia. Qed.
