(** The exact sum inside `LogSumExp` of convergence_jax/exact/log_sum_exp.py, over the integers.

    Models `_place`, `lift`, `merge` and, of `present`, the reading of the leading 64 bits, with `to_top` of
    reals.py. Proved: a lift holds its exponential without loss; fewer than 2^74 of them cannot wrap around,
    so that the digits hold their sum; what is read is that sum rounded down to 64 bits. *)
From Coq Require Import ZArith List Lia.
From Convergence Require Import Constants Residues Floats.
From Convergence Require Import FixedReals.
Import ListNotations.
Open Scope Z_scope.

Definition LENGTH : nat := Z.to_nat EXPONENTIAL_digits.

(** `_place`: three digits of an exponential, and the digit at which they begin. *)
Definition bit_of (exponent : Z) : Z := exponent - (63 + EXPONENTIAL_lsb).
Definition place_exponential (pair : Z * Z) : list Z * Z :=
  let position := bit_of (fst pair) in
  let amount := Z.land position (DIGIT_BITS - 1) in
  let low := word (Z.shiftl (Z.land (snd pair) DIGIT_MASK) amount) in
  let high := word (Z.shiftl (Z.shiftr (snd pair) DIGIT_BITS) amount) in
  ([Z.land low DIGIT_MASK; word (Z.shiftr low DIGIT_BITS + Z.land high DIGIT_MASK);
    Z.shiftr high DIGIT_BITS], Z.shiftr position 5).

(** `lift`, and the merge of every lift. *)
Definition lift (pair : Z * Z) : list Z := lift_placed LENGTH (place_exponential pair).
Definition collected (pairs : list (Z * Z)) : list Z :=
  fold_right (fun pair sum => Residues.add (lift pair) sum) (zero LENGTH) pairs.

(** An exponential as an integer, in units of [2^EXPONENTIAL_lsb]. *)
Definition term_of (pair : Z * Z) : Z := snd pair * 2 ^ bit_of (fst pair).
Definition sum_of (pairs : list (Z * Z)) : Z := fold_right (fun pair sum => term_of pair + sum) 0 pairs.

(** What `exp` gives for magnitudes below 2048: LogSumExp.v shows it. *)
Definition is_exponential (pair : Z * Z) : Prop :=
  -2955 <= fst pair <= 2954 /\ 2 ^ 63 <= snd pair < 2 ^ 64.

(** ** A lift *)

Theorem a_lift_holds_its_exponential (pair : Z * Z) : is_exponential pair ->
  lift pair = digits LENGTH (term_of pair) /\ Forall is_digit (fst (place_exponential pair)) /\
  0 <= snd (place_exponential pair) <= EXPONENTIAL_digits - 3.
Proof.
  destruct pair as [e m]. intros [He Hm]. unfold lift, term_of, place_exponential, bit_of, is_digit in *.
  cbn [fst snd] in *. change (BASE) with (2 ^ 32). unfold DIGIT_BITS, EXPONENTIAL_lsb, EXPONENTIAL_digits.
  set (position := e - (63 + -3018)). assert (range : 0 <= position <= 5909) by lia. clearbody position.
  assert (amount_is : Z.land position (32 - 1) = position mod 2 ^ 5)
    by exact (Z.land_ones position 5 ltac:(lia)).
  rewrite amount_is, !mask_is_remainder, !right_is_quotient, !left_is_product
    by (try apply Z.mod_pos_bound; lia).
  pose proof (Z.div_mod position (2 ^ 5) ltac:(lia)) as divided.
  pose proof (Z.mod_pos_bound position (2 ^ 5) ltac:(lia)) as amount_range.
  assert (chunk_range : 0 <= position / 2 ^ 5 <= 184) by (Z.div_mod_to_equations; lia).
  set (amount := position mod 2 ^ 5) in *. set (chunk := position / 2 ^ 5) in *. clearbody amount chunk.
  pose proof (Z.div_mod m (2 ^ 32) ltac:(lia)) as m_divided.
  pose proof (Z.mod_pos_bound m (2 ^ 32) ltac:(lia)) as low_range.
  assert (high_range : 0 <= m / 2 ^ 32 < 2 ^ 32) by (Z.div_mod_to_equations; lia).
  set (low := m mod 2 ^ 32) in *. set (high := m / 2 ^ 32) in *. clearbody low high.
  assert (power : 1 <= 2 ^ amount <= 2 ^ 31) by (split; [apply (Z.pow_le_mono_r 2 0) |
    apply Z.pow_le_mono_r]; lia).
  assert (complement : 2 ^ amount * 2 ^ (32 - amount) = 2 ^ 32) by (rewrite <- Z.pow_add_r by lia; f_equal;
    lia).
  assert (positive : 0 < 2 ^ (32 - amount)) by (apply Z.pow_pos_nonneg; lia).
  rewrite (word_small (low * _)), (word_small (high * _)) by (unfold is_word; nia).
  assert (multiple : exists k, high * 2 ^ amount mod 2 ^ 32 = k * 2 ^ amount /\ 0 <= k < 2 ^ (32 - amount)).
  { exists (high mod 2 ^ (32 - amount)). rewrite <- complement, Z.mul_comm, Z.mul_mod_distr_l by lia.
    split; [ring | apply Z.mod_pos_bound; lia]. }
  assert (carried : 0 <= low * 2 ^ amount / 2 ^ 32 < 2 ^ amount).
  { split; [apply Z.div_pos; nia | apply Z.div_lt_upper_bound; nia]. }
  assert (middle : 0 <= low * 2 ^ amount / 2 ^ 32 + high * 2 ^ amount mod 2 ^ 32 < 2 ^ 32).
  { destruct multiple as (k & -> & k_range). nia. }
  rewrite (word_small (_ + _)) by (unfold is_word; lia).
  assert (last : 0 <= high * 2 ^ amount / 2 ^ 32 < 2 ^ 32).
  { split; [apply Z.div_pos; nia | apply Z.div_lt_upper_bound; nia]. }
  pose proof (Z.mod_pos_bound (low * 2 ^ amount) (2 ^ 32) ltac:(lia)).
  split; [|split; [repeat constructor; lia | lia]].
  rewrite lift_placed_digits by lia. f_equal. cbn [Residues.value]. change (BASE) with (2 ^ 32).
  rewrite <- Z.pow_mul_r by lia. rewrite divided, Z.pow_add_r by lia.
  replace (2 ^ 5 * chunk) with (32 * chunk) by lia. set (whole := 2 ^ (32 * chunk)). clearbody whole.
  rewrite m_divided. pose proof (Z.div_mod (low * 2 ^ amount) (2 ^ 32) ltac:(lia)).
  pose proof (Z.div_mod (high * 2 ^ amount) (2 ^ 32) ltac:(lia)).
  rewrite Z.mul_0_r, Z.add_0_r, (Z.mul_comm whole), Z.mul_assoc. f_equal. lia.
Qed.

(** ** The sum *)

Theorem merges_hold_the_sum (pairs : list (Z * Z)) : Forall is_exponential pairs ->
  collected pairs = digits LENGTH (sum_of pairs).
Proof.
  induction 1 as [|pair rest Hpair Hrest IH]; [apply zero_digits|].
  cbn [collected sum_of fold_right]. fold (collected rest) (sum_of rest).
  destruct (a_lift_holds_its_exponential pair Hpair) as [-> _]. rewrite IH. apply add_of_digits.
Qed.

Lemma an_exponential_is_below_its_bound (pair : Z * Z) : is_exponential pair ->
  0 < term_of pair < 2 ^ EXPONENTIAL_term_bits.
Proof.
  destruct pair as [e m]. unfold is_exponential, term_of, bit_of. cbn [fst snd]. intros [He Hm].
  replace EXPONENTIAL_term_bits with (64 + 5909) by reflexivity.
  change EXPONENTIAL_lsb with (-3018). rewrite Z.pow_add_r by lia.
  assert (0 < 2 ^ (e - (63 + -3018))) by (apply Z.pow_pos_nonneg; lia).
  assert (2 ^ (e - (63 + -3018)) <= 2 ^ 5909) by (apply Z.pow_le_mono_r; lia).
  generalize dependent (2 ^ (e - (63 + -3018))). generalize (2 ^ 5909). intros. nia.
Qed.

Lemma sum_is_below_count (pairs : list (Z * Z)) : Forall is_exponential pairs ->
  Z.of_nat (length pairs) <= sum_of pairs /\
  sum_of pairs <= Z.of_nat (length pairs) * 2 ^ EXPONENTIAL_term_bits.
Proof.
  induction 1 as [|pair rest Hpair Hrest IH]; [cbn; lia|].
  pose proof (an_exponential_is_below_its_bound pair Hpair) as range.
  cbn [length sum_of fold_right]. fold (sum_of rest). rewrite Nat2Z.inj_succ.
  set (p := 2 ^ EXPONENTIAL_term_bits) in *. clearbody p. lia.
Qed.

(** The budget of the code: 74 bits are left beside the sign. *)
Theorem fewer_than_2_74_cannot_wrap_around (pairs : list (Z * Z)) : Forall is_exponential pairs ->
  Z.of_nat (length pairs) < 2 ^ 74 ->
  0 <= sum_of pairs < 2 ^ (DIGIT_BITS * EXPONENTIAL_digits - 1) /\
  Residues.value (collected pairs) = sum_of pairs.
Proof.
  intros all count. destruct (sum_is_below_count pairs all) as [low high].
  assert (below : sum_of pairs < 2 ^ (DIGIT_BITS * EXPONENTIAL_digits - 1)).
  { replace (DIGIT_BITS * EXPONENTIAL_digits - 1) with (74 + EXPONENTIAL_term_bits) by reflexivity.
    rewrite Z.pow_add_r by discriminate.
    assert (0 < 2 ^ EXPONENTIAL_term_bits) by (apply Z.pow_pos_nonneg; [reflexivity | discriminate]).
    set (p := 2 ^ EXPONENTIAL_term_bits) in *. clearbody p. nia. }
  split; [lia|]. rewrite merges_hold_the_sum, value_of_digits by assumption. apply Z.mod_small.
  rewrite modulus_power_of_two. split; [lia|]. eapply Z.lt_le_trans; [exact below|].
  apply Z.pow_le_mono_r; [reflexivity|]. unfold LENGTH. discriminate.
Qed.

(** ** `to_top` *)

Definition to_top_step (state : Z * Z) (by_ : Z) : Z * Z :=
  let step := if Z.shiftr (fst state) (64 - by_) =? 0 then by_ else 0 in
  (word (Z.shiftl (fst state) step), word (snd state + step)).
Definition to_top (w : Z) : Z * Z := fold_left to_top_step [32; 16; 8; 4; 2; 1] (w, 0).

Lemma a_step_to_top (w n by_ : Z) : 0 < by_ <= 32 -> 2 ^ (64 - 2 * by_) <= w < 2 ^ 64 -> 0 <= n <= 64 ->
  exists step, to_top_step (w, n) by_ = (w * 2 ^ step, n + step) /\ 0 <= step <= by_ /\
  2 ^ (64 - by_) <= w * 2 ^ step < 2 ^ 64.
Proof.
  intros Hby Hw Hn. unfold to_top_step. cbn [fst snd]. rewrite right_is_quotient by lia.
  assert (double : 2 ^ (64 - 2 * by_) * 2 ^ by_ = 2 ^ (64 - by_)) by (rewrite <- Z.pow_add_r by lia; f_equal;
    lia).
  assert (whole : 2 ^ (64 - by_) * 2 ^ by_ = 2 ^ 64) by (rewrite <- Z.pow_add_r by lia; f_equal; lia).
  assert (0 < 2 ^ by_) by (apply Z.pow_pos_nonneg; lia).
  assert (0 < 2 ^ (64 - by_)) by (apply Z.pow_pos_nonneg; lia).
  assert (0 < 2 ^ (64 - 2 * by_)) by (apply Z.pow_pos_nonneg; lia).
  pose proof (Z.div_mod w (2 ^ (64 - by_)) ltac:(lia)) as divided.
  pose proof (Z.mod_pos_bound w (2 ^ (64 - by_)) ltac:(lia)).
  assert (0 <= w / 2 ^ (64 - by_)) by (apply Z.div_pos; lia).
  destruct (Z.eqb_spec (w / 2 ^ (64 - by_)) 0) as [none | some].
  - exists by_. rewrite none in divided. rewrite left_is_product by lia.
    rewrite !word_small by (unfold is_word; nia). split; [reflexivity|]. split; [lia | nia].
  - exists 0. rewrite left_is_product, Z.pow_0_r, Z.mul_1_r by lia.
    rewrite !word_small by (unfold is_word; lia). split; [reflexivity|]. split; [lia | nia].
Qed.

Theorem to_top_moves_the_leading_one_up (w : Z) : 0 < w < 2 ^ 64 ->
  exists n, to_top w = (w * 2 ^ n, n) /\ 0 <= n <= 63 /\ 2 ^ 63 <= w * 2 ^ n < 2 ^ 64.
Proof.
  intros Hw. unfold to_top. cbn [fold_left].
  destruct (a_step_to_top w 0 32) as (a & -> & Ha & range_a); [lia | cbn; lia | lia |].
  destruct (a_step_to_top (w * 2 ^ a) (0 + a) 16) as (b & -> & Hb & range_b); [lia.. |].
  destruct (a_step_to_top (w * 2 ^ a * 2 ^ b) (0 + a + b) 8) as (c & -> & Hc & range_c); [lia.. |].
  destruct (a_step_to_top (w * 2 ^ a * 2 ^ b * 2 ^ c) (0 + a + b + c) 4)
    as (d & -> & Hd & range_d); [lia.. |].
  destruct (a_step_to_top (w * 2 ^ a * 2 ^ b * 2 ^ c * 2 ^ d) (0 + a + b + c + d) 2)
    as (e & -> & Hf & range_e); [lia.. |].
  destruct (a_step_to_top (w * 2 ^ a * 2 ^ b * 2 ^ c * 2 ^ d * 2 ^ e) (0 + a + b + c + d + e) 1)
    as (f & -> & Hg & range_f); [lia.. |].
  exists (a + b + c + d + e + f). rewrite !Z.pow_add_r, !Z.mul_assoc by lia.
  split; [f_equal; lia|]. split; [lia | exact range_f].
Qed.

(** ** The leading 64 bits *)

Fixpoint top_from (index : Z) (state : list Z) : Z :=
  match state with
  | [] => 0
  | digit :: rest => Z.max (if digit =? 0 then 0 else index) (top_from (index + 1) rest)
  end.
Definition digit_below (state : list Z) (top below : Z) : Z :=
  if below <=? top then nth (Z.to_nat (top - below)) state 0 else 0.

(** `present`, up to the logarithm: an exponent and a mantissa. *)
Definition leading (state : list Z) : Z * Z :=
  let top := top_from 0 state in
  let head := Z.lor (word (Z.shiftl (digit_below state top 0) DIGIT_BITS)) (digit_below state top 1) in
  let '(mantissa, amount) := to_top head in
  (top * DIGIT_BITS + (EXPONENTIAL_lsb + DIGIT_BITS - 1) - amount,
   Z.lor mantissa (Z.shiftr (digit_below state top 2) (DIGIT_BITS - Z.min amount DIGIT_BITS))).

Lemma nth_digit (L k : nat) (v : Z) : (k < L)%nat ->
  nth k (digits L v) 0 = v / 2 ^ (32 * Z.of_nat k) mod 2 ^ 32.
Proof.
  revert k v. induction L as [|L IH]; intros k v Hk; [lia|]. destruct k as [|k]; cbn [digits nth].
  - change (2 ^ (32 * Z.of_nat 0)) with 1. rewrite Z.div_1_r. reflexivity.
  - rewrite IH by lia. change BASE with (2 ^ 32). rewrite Z.div_div by (try apply Z.pow_pos_nonneg; lia).
    rewrite <- Z.pow_add_r by lia. do 3 f_equal. lia.
Qed.

Lemma top_is_where_the_sum_begins (L : nat) (index v : Z) : 0 <= index -> 0 <= v < modulus L ->
  top_from index (digits L v) = if v =? 0 then 0 else index + Z.log2 v / 32.
Proof.
  revert index v. induction L as [|L IH]; intros index v Hindex Hv.
  - change (modulus 0) with 1 in Hv. replace v with 0 by lia. reflexivity.
  - rewrite modulus_succ in Hv. cbn [digits top_from]. change BASE with (2 ^ 32) in *.
    rewrite IH; [|lia | split; [apply Z.div_pos; lia | apply Z.div_lt_upper_bound; lia]].
    pose proof (Z.div_mod v (2 ^ 32) ltac:(lia)). pose proof (Z.mod_pos_bound v (2 ^ 32) ltac:(lia)).
    destruct (Z.eqb_spec (v / 2 ^ 32) 0) as [none | some].
    + destruct (Z.eqb_spec v 0) as [-> | Hnot]; [reflexivity|].
      destruct (Z.eqb_spec (v mod 2 ^ 32) 0); [lia|].
      assert (0 <= Z.log2 v < 32) by (split; [apply Z.log2_nonneg | apply Z.log2_lt_pow2; lia]).
      rewrite (Z.div_small (Z.log2 v)) by lia. lia.
    + assert (0 <= v / 2 ^ 32) by (apply Z.div_pos; lia).
      destruct (Z.eqb_spec v 0) as [-> | Hnot]; [lia|].
      assert (shorter : Z.log2 (v / 2 ^ 32) = Z.log2 v - 32).
      { rewrite <- Z.shiftr_div_pow2, Z.log2_shiftr by lia. rewrite Z.max_r; [reflexivity|].
        assert (32 <= Z.log2 v) by (apply Z.log2_le_pow2; lia). lia. }
      assert (0 <= Z.log2 (v / 2 ^ 32)) by apply Z.log2_nonneg.
      assert (0 <= Z.log2 (v / 2 ^ 32) / 32) by (apply Z.div_pos; lia).
      rewrite shorter in *. replace (Z.log2 v) with (Z.log2 v - 32 + 1 * 32) at 2 by ring.
      rewrite Z.div_add by lia. destruct (v mod 2 ^ 32 =? 0); lia.
Qed.

Lemma digits_below_are_those_of_the_scaled_sum (v top below : Z) : 0 < v < modulus LENGTH ->
  top = Z.log2 v / 32 -> 0 <= below <= 2 ->
  digit_below (digits LENGTH v) top below =
  v * 2 ^ 64 / 2 ^ (32 * top) / 2 ^ (64 - 32 * below) mod 2 ^ 32.
Proof.
  intros Hv Htop Hbelow. unfold digit_below.
  assert (top_range : 0 <= top < 189).
  { subst top. split; [apply Z.div_pos; [apply Z.log2_nonneg | lia]|]. apply Z.div_lt_upper_bound; [lia|].
    apply Z.log2_lt_pow2; [lia|]. rewrite modulus_power_of_two in Hv. exact (proj2 Hv). }
  rewrite Z.div_div, <- Z.pow_add_r by (try apply Z.pow_pos_nonneg; try apply Z.pow_nonzero; lia).
  destruct (Z.leb_spec below top).
  - rewrite nth_digit by (change LENGTH with 189%nat; lia). rewrite Z2Nat.id by lia.
    replace (32 * top + (64 - 32 * below)) with (32 * (top - below) + 64) by ring.
    rewrite Z.pow_add_r, Z.div_mul_cancel_r by (try apply Z.pow_nonzero; lia). reflexivity.
  - replace 64 with (32 * (below - top) + (32 * top + (64 - 32 * below))) at 1 by ring.
    rewrite Z.pow_add_r, Z.mul_assoc, Z.div_mul by (try apply Z.pow_nonzero; lia).
    replace (32 * (below - top)) with (32 * (below - top - 1) + 32) by ring.
    rewrite Z.pow_add_r, Z.mul_assoc, Z.mod_mul by lia. reflexivity.
Qed.

(** Scaled by [2^64], as the mantissa of a small sum reaches below the unit of the sum. *)
Theorem the_leading_bits_are_rounded_down (v : Z) : 0 < v < modulus LENGTH ->
  let '(exponent, mantissa) := leading (digits LENGTH v) in let position := bit_of exponent + 64 in
  2 ^ 63 <= mantissa < 2 ^ 64 /\ 0 <= position <= 6048 /\
  mantissa * 2 ^ position <= v * 2 ^ 64 < mantissa * 2 ^ position + 2 ^ position.
Proof.
  intros Hv. unfold leading. rewrite top_is_where_the_sum_begins by lia.
  destruct (Z.eqb_spec v 0) as [|nonzero]; [lia|]. rewrite Z.add_0_l.
  remember (Z.log2 v / 32) as top eqn:Htop.
  pose proof (digits_below_are_those_of_the_scaled_sum v top) as digit.
  rewrite !digit by (trivial; lia). clear digit.
  assert (top_range : 0 <= top < 189).
  { subst top. split; [apply Z.div_pos; [apply Z.log2_nonneg | lia]|]. apply Z.div_lt_upper_bound; [lia|].
    apply Z.log2_lt_pow2; [lia|]. rewrite modulus_power_of_two in Hv. exact (proj2 Hv). }
  assert (v_range : 2 ^ (32 * top) <= v < 2 ^ (32 * top + 32)).
  { pose proof (Z.log2_nonneg v). pose proof (Z.log2_spec v ltac:(lia)) as [low high].
    pose proof (Z.div_mod (Z.log2 v) 32 ltac:(lia)). pose proof (Z.mod_pos_bound (Z.log2 v) 32 ltac:(lia)).
    split; [eapply Z.le_trans; [|exact low] | eapply Z.lt_le_trans; [exact high|]];
      apply Z.pow_le_mono_r; lia. }
  clear Hv Htop. rewrite Z.pow_add_r in v_range by lia.
  assert (positive : 0 < 2 ^ (32 * top)) by (apply Z.pow_pos_nonneg; lia).
  pose proof (Z.div_mod (v * 2 ^ 64) (2 ^ (32 * top)) ltac:(lia)) as scaled.
  pose proof (Z.mod_pos_bound (v * 2 ^ 64) (2 ^ (32 * top)) ltac:(lia)) as rest_range.
  unfold DIGIT_BITS, bit_of, EXPONENTIAL_lsb.
  assert (power : forall n, 0 <= n -> 2 ^ (32 * top + n) = 2 ^ (32 * top) * 2 ^ n)
    by (intros; apply Z.pow_add_r; lia).
  set (unit := 2 ^ (32 * top)) in *. set (scaled_sum := v * 2 ^ 64) in *.
  set (h := scaled_sum / unit) in *. set (rest := scaled_sum mod unit) in *.
  assert (h_range : 2 ^ 64 <= h < 2 ^ 96) by (clearbody unit h rest; subst scaled_sum; nia).
  clearbody unit h rest scaled_sum.
  assert (first : h / 2 ^ (64 - 32 * 0) mod 2 ^ 32 = h / 2 ^ 64).
  { apply Z.mod_small. split; [apply Z.div_pos; lia | apply Z.div_lt_upper_bound; lia]. }
  rewrite first. change (64 - 32 * 1) with 32. change (64 - 32 * 2) with 0. rewrite Z.pow_0_r, Z.div_1_r.
  pose proof (Z.div_mod h (2 ^ 32) ltac:(lia)). pose proof (Z.mod_pos_bound h (2 ^ 32) ltac:(lia)).
  pose proof (Z.div_mod (h / 2 ^ 32) (2 ^ 32) ltac:(lia)).
  pose proof (Z.mod_pos_bound (h / 2 ^ 32) (2 ^ 32) ltac:(lia)).
  replace (h / 2 ^ 64) with (h / 2 ^ 32 / 2 ^ 32) by (rewrite Z.div_div by lia; reflexivity).
  set (low := h mod 2 ^ 32) in *. set (upper := h / 2 ^ 32) in *.
  set (middle := upper mod 2 ^ 32) in *. set (high := upper / 2 ^ 32) in *. clear first.
  clearbody low upper middle high.
  rewrite left_is_product by lia. rewrite (word_small (high * 2 ^ 32)) by (unfold is_word; lia).
  rewrite or_is_sum by lia.
  destruct (to_top_moves_the_leading_one_up (high * 2 ^ 32 + middle)) as (n & -> & n_range & made); [lia|].
  replace (high * 2 ^ 32 + middle) with upper in * by lia.
  assert (n_small : n <= 31).
  { destruct (Z_lt_le_dec 31 n) as [large|]; [|assumption].
    assert (2 ^ 32 <= 2 ^ n) by (apply Z.pow_le_mono_r; lia).
    assert (2 ^ 32 * 2 ^ 32 <= upper * 2 ^ n) by (apply Z.mul_le_mono_nonneg; lia). lia. }
  replace (Z.min n 32) with n by lia. rewrite right_is_quotient by lia.
  assert (complement : 2 ^ n * 2 ^ (32 - n) = 2 ^ 32) by (rewrite <- Z.pow_add_r by lia; f_equal; lia).
  assert (0 < 2 ^ n) by (apply Z.pow_pos_nonneg; lia).
  assert (0 < 2 ^ (32 - n)) by (apply Z.pow_pos_nonneg; lia).
  pose proof (Z.div_mod low (2 ^ (32 - n)) ltac:(lia)).
  pose proof (Z.mod_pos_bound low (2 ^ (32 - n)) ltac:(lia)).
  assert (tail_range : 0 <= low / 2 ^ (32 - n) < 2 ^ n).
  { split; [apply Z.div_pos; lia | apply Z.div_lt_upper_bound; lia]. }
  rewrite lor_is_add by lia.
  replace (top * 32 + (-3018 + 32 - 1) - n - (63 + -3018) + 64) with (32 * top + (32 - n)) by ring.
  rewrite power by lia. set (tail := low / 2 ^ (32 - n)) in *. set (under := low mod 2 ^ (32 - n)) in *.
  assert (divisible : exists k, 2 ^ 64 = k * 2 ^ n /\ 2 ^ 63 = (k - 2 ^ (63 - n)) * 2 ^ n).
  { exists (2 ^ (64 - n)). rewrite <- Z.pow_add_r by lia. split; [f_equal; lia|].
    replace (64 - n) with (Z.succ (63 - n)) by lia. rewrite Z.pow_succ_r by lia.
    replace (2 * 2 ^ (63 - n) - 2 ^ (63 - n)) with (2 ^ (63 - n)) by ring.
    rewrite <- Z.pow_add_r by lia. f_equal. lia. }
  destruct divisible as (k & whole & _).
  set (p := 2 ^ n) in *. set (q := 2 ^ (32 - n)) in *. clearbody p q tail under.
  assert (room : upper * p + tail < 2 ^ 64).
  { rewrite whole in *. assert (upper < k) by nia. nia. }
  split; [lia|]. split; [lia|].
  assert (h_split : h = (upper * p + tail) * q + under) by nia.
  rewrite scaled, h_split. nia.
Qed.
