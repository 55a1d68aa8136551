(** Quantiles from counts in bins that are cut by the bits of the float.

    Models [Quantiles] of convergence_jax/statistics/quantiles.py: [_index], [_table] and the search of
    [present] in the counts reached, on the bits of float64 (NaN set aside). Proves that bins are in the order
    of the floats, that every observation lies between the ends of its bin, that the answer of a bin is within
    [2^-(mantissa_bits + 1)] of every observation in it, relative, and that the bin found is that of the
    observation of the rank asked for: so the sample quantile lies in the interval given with it. *)
From Coq Require Import ZArith List Lia Bool.
From Convergence Require Import Constants FloatOrder.
Import ListNotations.
Open Scope Z_scope.

(** [EXPONENT_BIAS] of float_bits.py *)
Definition EXPONENT_BIAS : Z := 1023.

Section Quantiles.
Set Default Proof Using "Type".
Variables mantissa_bits low_exponent high_exponent : Z.
Hypothesis Hexponents : -1022 <= low_exponent < high_exponent /\ high_exponent <= 1024.
Hypothesis Hmantissa : 0 <= mantissa_bits <= 20.

(** [_one_sign], [_first_code] *)
Definition one_sign : Z := Z.shiftl (high_exponent - low_exponent) mantissa_bits.
Definition first_code : Z := Z.shiftl (low_exponent + EXPONENT_BIAS) mantissa_bits.
Definition dropped_bits : Z := MANTISSA_BITS - mantissa_bits.

(** [_index] *)
Definition code_of (bits : Z) : Z := Z.shiftr (magnitude bits) dropped_bits.
Definition rank_of (bits : Z) : Z := Z.max 0 (Z.min (one_sign + 1) (code_of bits - (first_code - 1))).
Definition index_of (bits : Z) : Z := one_sign + 1 + (if bits <? 0 then - rank_of bits else rank_of bits).

(** [_table], by rank: magnitudes of the lower end, of the answer and of the upper end. *)
Definition edge (k : Z) : Z := Z.shiftl (first_code + k) dropped_bits.
Definition lower_end (rank : Z) : Z := edge (rank - 1).
Definition upper_end (rank : Z) : Z := edge rank - 1.
Definition answer (rank : Z) : Z := edge (rank - 1) + Z.shiftl 1 (dropped_bits - 1).

Lemma dropped_bounds : 32 <= dropped_bits <= 52.
Proof using Hexponents Hmantissa. unfold dropped_bits, MANTISSA_BITS. lia. Qed.

Lemma edge_by_power (k : Z) : edge k = (first_code + k) * 2 ^ dropped_bits.
Proof using Hexponents Hmantissa. unfold edge. pose proof dropped_bounds. now rewrite Z.shiftl_mul_pow2 by
  lia. Qed.

Lemma code_between (bits c : Z) :
  code_of bits = c <-> c * 2 ^ dropped_bits <= magnitude bits < (c + 1) * 2 ^ dropped_bits.
Proof using Hexponents Hmantissa.
  unfold code_of. pose proof dropped_bounds. rewrite Z.shiftr_div_pow2 by lia.
  assert (0 < 2 ^ dropped_bits) as Hpower by (apply Z.pow_pos_nonneg; lia). split.
  - intros <-. pose proof (Z.div_mod (magnitude bits) (2 ^ dropped_bits) ltac:(lia)).
    pose proof (Z.mod_pos_bound (magnitude bits) (2 ^ dropped_bits) Hpower). nia.
  - intros H'. symmetry. apply Z.div_unique_pos with (magnitude bits - c * 2 ^ dropped_bits); lia.
Qed.

Lemma counts_are_positive : 1 <= first_code /\ 1 <= one_sign.
Proof using Hexponents Hmantissa.
  unfold first_code, one_sign, EXPONENT_BIAS. rewrite !Z.shiftl_mul_pow2 by lia.
  assert (0 < 2 ^ mantissa_bits) by (apply Z.pow_pos_nonneg; lia). nia.
Qed.

(** ** An observation lies in its bin *)

Theorem magnitude_is_between_the_ends (bits : Z) :
  1 <= rank_of bits <= one_sign -> lower_end (rank_of bits) <= magnitude bits <= upper_end (rank_of bits).
Proof using Hexponents Hmantissa.
  intros Hrank. assert (code_of bits = first_code + (rank_of bits - 1)) as Hcode.
  { unfold rank_of in *. lia. }
  apply code_between in Hcode. unfold lower_end, upper_end. rewrite !edge_by_power.
  replace (first_code + rank_of bits) with (first_code + (rank_of bits - 1) + 1) by ring. lia.
Qed.

(** The bin around zero reaches to just below [2^low_exponent], the outermost from [2^high_exponent] on. *)
Theorem outer_bins (bits : Z) :
  (rank_of bits = 0 <-> magnitude bits <= upper_end 0)
  /\ (rank_of bits = one_sign + 1 <-> lower_end (one_sign + 1) <= magnitude bits).
Proof using Hexponents Hmantissa.
  pose proof (proj1 (code_between bits (code_of bits)) eq_refl) as Hcode.
  pose proof counts_are_positive as [Hfirst Hone]. pose proof dropped_bounds.
  assert (0 < 2 ^ dropped_bits) as Hpower by (apply Z.pow_pos_nonneg; lia).
  unfold upper_end, lower_end. rewrite !edge_by_power. set (d := 2 ^ dropped_bits) in *.
  assert (rank_of bits = 0 <-> code_of bits <= first_code - 1) as -> by (unfold rank_of; lia).
  assert (rank_of bits = one_sign + 1 <-> first_code + one_sign <= code_of bits) as -> by
    (unfold rank_of; lia).
  replace (first_code + (one_sign + 1 - 1)) with (first_code + one_sign) by ring. rewrite Z.add_0_r.
  generalize dependent (code_of bits). intros c Hc. split; split; intros H'; nia.
Qed.

Lemma ends_are_powers_of_two :
  lower_end 1 = Z.shiftl (low_exponent + EXPONENT_BIAS) MANTISSA_BITS
  /\ lower_end (one_sign + 1) = Z.shiftl (high_exponent + EXPONENT_BIAS) MANTISSA_BITS.
Proof using Hexponents Hmantissa.
  unfold lower_end. rewrite !edge_by_power. unfold first_code, one_sign, dropped_bits, MANTISSA_BITS.
  rewrite !Z.shiftl_mul_pow2 by lia.
  assert (2 ^ mantissa_bits * 2 ^ (52 - mantissa_bits) = 2 ^ 52) as Hpowers.
  { rewrite <- Z.pow_add_r by lia. f_equal. ring. }
  split; rewrite <- Hpowers; ring.
Qed.

(** ** The relative error *)

Lemma units_in_a_bin (c t : Z) :
  first_code <= c -> 0 <= t < 2 ^ dropped_bits ->
  let field := c / 2 ^ mantissa_bits in
  1 <= field /\ units_of_magnitude (c * 2 ^ dropped_bits + t)
  = (2 ^ MANTISSA_BITS + (c mod 2 ^ mantissa_bits) * 2 ^ dropped_bits + t) * 2 ^ (field - 1).
Proof using Hexponents Hmantissa.
  intros Hc Ht field. pose proof dropped_bounds as Hdropped.
  assert (0 < 2 ^ dropped_bits) as Hd by (apply Z.pow_pos_nonneg; lia).
  assert (0 < 2 ^ mantissa_bits) as Hm by (apply Z.pow_pos_nonneg; lia).
  assert (2 ^ MANTISSA_BITS = 2 ^ mantissa_bits * 2 ^ dropped_bits) as Hpowers.
  { rewrite <- Z.pow_add_r by lia. f_equal. unfold dropped_bits. ring. }
  assert (1 <= field) as Hfield.
  { apply Z.div_le_lower_bound; [assumption|]. unfold first_code, EXPONENT_BIAS in Hc.
    rewrite Z.shiftl_mul_pow2 in Hc by lia. nia. }
  split; [assumption|].
  pose proof (Z.div_mod c (2 ^ mantissa_bits) ltac:(lia)) as Hsplit. fold field in Hsplit.
  pose proof (Z.mod_pos_bound c (2 ^ mantissa_bits) Hm) as Hrest. set (rest := c mod 2 ^ mantissa_bits) in *.
  assert (0 <= rest * 2 ^ dropped_bits + t < 2 ^ MANTISSA_BITS) as Hfraction by (rewrite Hpowers; nia).
  assert (c * 2 ^ dropped_bits + t = 2 ^ MANTISSA_BITS * field + (rest * 2 ^ dropped_bits + t)) as Hvalue.
  { rewrite Hsplit at 1. rewrite Hpowers. ring. }
  unfold units_of_magnitude.
  rewrite <- (Z.div_unique_pos _ _ _ _ Hfraction Hvalue), <- (Z.mod_unique_pos _ _ _ _ Hfraction Hvalue).
  destruct (Z.eqb_spec field 0); [lia|]. f_equal. ring.
Qed.

(** The answer is within [2^-(mantissa_bits + 1)] of every observation of the bin, relative to it. *)
Theorem relative_error_of_a_bin (bits : Z) :
  1 <= rank_of bits <= one_sign ->
  Z.abs (units_of_magnitude (answer (rank_of bits)) - units_of_magnitude (magnitude bits)) * 2 ^
    (mantissa_bits + 1)
  <= units_of_magnitude (magnitude bits).
Proof using Hexponents Hmantissa.
  intros Hrank. pose proof dropped_bounds as Hdropped.
  assert (code_of bits = first_code + (rank_of bits - 1)) as Hcode by (unfold rank_of in *; lia).
  apply code_between in Hcode. unfold answer. rewrite edge_by_power, Z.shiftl_mul_pow2, Z.mul_1_l by lia.
  set (c := first_code + (rank_of bits - 1)) in *. assert (first_code <= c) as Hc by (unfold c; lia).
  replace (magnitude bits) with (c * 2 ^ dropped_bits + (magnitude bits - c * 2 ^ dropped_bits)) by ring.
  set (t := magnitude bits - c * 2 ^ dropped_bits) in *.
  assert (2 ^ dropped_bits = 2 * 2 ^ (dropped_bits - 1)) as Htwice.
  { rewrite <- Z.pow_succ_r by lia. f_equal. ring. }
  assert (0 < 2 ^ (dropped_bits - 1)) as Hhalf by (apply Z.pow_pos_nonneg; lia).
  assert (0 <= t < 2 ^ dropped_bits) as Ht by (unfold t; lia).
  destruct (units_in_a_bin c t Hc Ht) as [Hfield ->].
  destruct (units_in_a_bin c (2 ^ (dropped_bits - 1)) Hc ltac:(lia)) as [_ ->].
  assert (0 < 2 ^ (c / 2 ^ mantissa_bits - 1)) as Hscale by (apply Z.pow_pos_nonneg; lia).
  assert (2 ^ MANTISSA_BITS = 2 ^ (mantissa_bits + 1) * 2 ^ (dropped_bits - 1)) as Hpowers.
  { rewrite <- Z.pow_add_r by lia. f_equal. unfold dropped_bits. ring. }
  rewrite Hpowers, <- Z.mul_sub_distr_r, Z.abs_mul, (Z.abs_eq (2 ^ (_ - 1))) by lia.
  assert (0 <= (c mod 2 ^ mantissa_bits) * 2 ^ dropped_bits) as Hrest.
  { apply Z.mul_nonneg_nonneg; [apply Z.mod_pos_bound, Z.pow_pos_nonneg; lia|lia]. }
  set (rest := c mod 2 ^ mantissa_bits * 2 ^ dropped_bits) in *.
  set (scale := 2 ^ (c / 2 ^ mantissa_bits - 1)) in *. set (half := 2 ^ (dropped_bits - 1)) in *.
  assert (0 < 2 ^ (mantissa_bits + 1)) as Hfactor by (apply Z.pow_pos_nonneg; lia).
  set (factor := 2 ^ (mantissa_bits + 1)) in *.
  replace (factor * half + rest + half - (factor * half + rest + t)) with (half - t) by ring.
  assert (Z.abs (half - t) * factor <= half * factor) by (apply Z.mul_le_mono_nonneg_r; lia).
  replace (Z.abs (half - t) * scale * factor) with (Z.abs (half - t) * factor * scale) by ring.
  apply Z.mul_le_mono_nonneg_r; lia.
Qed.

(** ** The bin of a rank *)

Lemma rank_is_monotone (a b : Z) : magnitude a <= magnitude b -> 0 <= rank_of a <= rank_of b.
Proof using Hexponents Hmantissa.
  intros H. assert (code_of a <= code_of b).
  { unfold code_of. pose proof dropped_bounds. rewrite !Z.shiftr_div_pow2 by lia.
    apply Z.div_le_mono; [apply Z.pow_pos_nonneg; lia|assumption]. }
  unfold rank_of. lia.
Qed.

Theorem bins_are_in_the_order_of_the_floats (a b : Z) :
  is_pattern a -> is_pattern b -> order_key a <= order_key b -> index_of a <= index_of b.
Proof using Hexponents Hmantissa.
  intros Ha Hb. rewrite !order_key_by_sign by assumption. unfold index_of.
  pose proof (magnitude_bounds a). pose proof (magnitude_bounds b).
  pose proof (rank_is_monotone a a ltac:(lia)). pose proof (rank_is_monotone b b ltac:(lia)).
  destruct (a <? 0), (b <? 0); intros Hkeys; try lia.
  - pose proof (rank_is_monotone b a ltac:(lia)). lia.
  - pose proof (rank_is_monotone a b ltac:(lia)). lia.
Qed.

Definition how_many (p : Z -> bool) (observations : list Z) : Z := Z.of_nat (length (filter p observations)).

(** The counts reached: [np.cumsum] of the table. *)
Definition reached (observations : list Z) (index : Z) : Z :=
  how_many (fun bits => index_of bits <=? index) observations.

Lemma how_many_le (p q : Z -> bool) (observations : list Z) :
  (forall bits, In bits observations -> p bits = true -> q bits = true) ->
  how_many p observations <= how_many q observations.
Proof.
  unfold how_many. induction observations as [|x rest IH]; intros H; [easy|]. cbn [filter].
  specialize (IH (fun bits Hin => H bits (or_intror Hin))). specialize (H x (or_introl eq_refl)).
  destruct (p x), (q x); cbn [length] in *; lia.
Qed.

(** [quantile] has rank [k]: fewer than [k] observations are below it, and at least [k] are not above it. Then
    the first bin in which the counts reach [k] is its own. *)
Theorem the_bin_found_holds_the_quantile (observations : list Z) (quantile k index : Z) :
  Forall is_pattern observations -> is_pattern quantile ->
  how_many (fun bits => order_key bits <? order_key quantile) observations < k ->
  k <= how_many (fun bits => order_key bits <=? order_key quantile) observations ->
  k <= reached observations index -> (forall before, before < index -> reached observations before < k) ->
  index = index_of quantile.
Proof using Hexponents Hmantissa.
  intros Hpatterns Hquantile Hbelow Hupto Hreached Hfirst.
  assert (k <= reached observations (index_of quantile)) as Hown.
  { apply Z.le_trans with (1 := Hupto). apply how_many_le. intros bits Hin Hkey.
    apply Z.leb_le in Hkey. apply Z.leb_le. apply bins_are_in_the_order_of_the_floats;
      [|assumption|assumption].
    now apply (proj1 (Forall_forall _ _) Hpatterns). }
  destruct (Z.lt_trichotomy index (index_of quantile)) as [Hless | [Hsame | Hmore]]; [|exact Hsame|].
  - exfalso. apply (Z.lt_irrefl k). apply Z.le_lt_trans with (1 := Hreached).
    apply Z.le_lt_trans with (2 := Hbelow). apply how_many_le. intros bits Hin Hindex.
    apply Z.leb_le in Hindex. apply Z.ltb_lt. apply Z.nle_gt. intros Hkey.
    apply bins_are_in_the_order_of_the_floats in Hkey;
      [lia|assumption|now apply (proj1 (Forall_forall _ _) Hpatterns)].
  - specialize (Hfirst _ Hmore). lia.
Qed.
End Quantiles.
