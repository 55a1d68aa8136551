(** Floats as integers in the order of the floats.

    Models [order_keys], [is_nan] and [is_infinite] of convergence_jax/statistics/float_bits.py on the 64 bits
    of a float64, read as a signed integer. Proves that the keys are their own inverse and stay in a word,
    that for all finite patterns, subnormals included, one key is below another exactly if its value is (with
    -0.0 just below 0.0), that infinities lie outside and the keys of NaN beyond them. *)
From Coq Require Import ZArith Lia Bool.
From Convergence Require Import Constants.
Open Scope Z_scope.

(** [MANTISSA_BITS], [MAGNITUDE_MASK] and [INFINITY] of float_bits.py *)
Definition MANTISSA_BITS : Z := 52.
Definition SIGN_BIT : Z := 63.
Definition MAGNITUDE_MASK : Z := Z.ones SIGN_BIT.
Definition INFINITY : Z := Z.shiftl 2047 MANTISSA_BITS.

(** [order_keys], [is_nan], [is_infinite] *)
Definition order_key (bits : Z) : Z := Z.lxor bits (Z.land (Z.shiftr bits SIGN_BIT) MAGNITUDE_MASK).
Definition magnitude (bits : Z) : Z := Z.land bits MAGNITUDE_MASK.
Definition is_nan (bits : Z) : bool := INFINITY <? magnitude bits.
Definition is_infinite (bits : Z) : bool := magnitude bits =? INFINITY.
Definition is_finite_pattern (bits : Z) : Prop := magnitude bits < INFINITY.

(** A pattern is a signed word. *)
Definition is_pattern (bits : Z) : Prop := - 2 ^ SIGN_BIT <= bits < 2 ^ SIGN_BIT.

(** What IEEE 754 says a magnitude is, in units of the least subnormal, [2^-1074]: an integer. *)
Definition units_of_magnitude (m : Z) : Z :=
  let field := m / 2 ^ MANTISSA_BITS in
  let fraction := m mod 2 ^ MANTISSA_BITS in
  if field =? 0 then fraction else (2 ^ MANTISSA_BITS + fraction) * 2 ^ (field - 1).

(** The value of a finite pattern in those units. *)
Definition units (bits : Z) : Z :=
  if bits <? 0 then - units_of_magnitude (magnitude bits) else units_of_magnitude (magnitude bits).

Lemma magnitude_of_pattern (bits : Z) :
  is_pattern bits -> magnitude bits = if bits <? 0 then bits + 2 ^ SIGN_BIT else bits.
Proof.
  intros Hbits. unfold magnitude, MAGNITUDE_MASK, is_pattern in *. rewrite Z.land_ones by easy.
  destruct (Z.ltb_spec bits 0).
  - symmetry. apply Z.mod_unique_pos with (-1); lia.
  - apply Z.mod_small. lia.
Qed.

Lemma magnitude_bounds (bits : Z) : 0 <= magnitude bits < 2 ^ SIGN_BIT.
Proof. unfold magnitude, MAGNITUDE_MASK. rewrite Z.land_ones by easy. now apply Z.mod_pos_bound. Qed.

Lemma flipped_below_the_sign (bits : Z) :
  - 2 ^ SIGN_BIT <= bits < 0 -> Z.lxor bits MAGNITUDE_MASK = Z.lnot (magnitude bits).
Proof.
  intros Hbits. apply Z.bits_inj'. intros k Hk. unfold magnitude, MAGNITUDE_MASK.
  rewrite Z.lnot_spec, Z.lxor_spec, Z.land_spec, Z.testbit_ones by easy.
  replace (0 <=? k) with true by (symmetry; now apply Z.leb_le). cbn [andb].
  destruct (Z.ltb_spec k SIGN_BIT) as [Hlow | Hhigh].
  - rewrite xorb_true_r, andb_true_r. reflexivity.
  - rewrite xorb_false_r, andb_false_r. replace k with (k - SIGN_BIT + SIGN_BIT) by ring.
    rewrite <- Z.shiftr_spec by lia. rewrite Z.shiftr_div_pow2 by easy.
    replace (bits / 2 ^ SIGN_BIT) with (-1); [apply Z.bits_m1; lia|].
    apply Z.div_unique_pos with (bits + 2 ^ SIGN_BIT); lia.
Qed.

Theorem order_key_by_sign (bits : Z) :
  is_pattern bits -> order_key bits = if bits <? 0 then - magnitude bits - 1 else magnitude bits.
Proof.
  intros Hbits. unfold order_key, is_pattern in *. rewrite Z.shiftr_div_pow2 by easy.
  destruct (Z.ltb_spec bits 0) as [H | H].
  - replace (bits / 2 ^ SIGN_BIT) with (-1).
    2: { apply Z.div_unique_pos with (bits + 2 ^ SIGN_BIT); lia. }
    rewrite Z.land_m1_l, flipped_below_the_sign by lia. unfold Z.lnot. lia.
  - rewrite Z.div_small by lia. rewrite Z.land_0_l, Z.lxor_0_r, magnitude_of_pattern by assumption.
    destruct (Z.ltb_spec bits 0); lia.
Qed.

Lemma order_key_is_a_pattern (bits : Z) : is_pattern bits -> is_pattern (order_key bits).
Proof.
  intros H. rewrite order_key_by_sign by assumption. pose proof (magnitude_bounds bits).
  unfold is_pattern. destruct (bits <? 0); lia.
Qed.

(** [order_keys] is its own inverse. *)
Theorem order_key_is_an_involution (bits : Z) : is_pattern bits -> order_key (order_key bits) = bits.
Proof.
  intros H. pose proof (order_key_is_a_pattern bits H) as Hkey. pose proof (magnitude_bounds bits) as Hm.
  rewrite (order_key_by_sign (order_key bits)), (magnitude_of_pattern (order_key bits)) by assumption.
  rewrite !(order_key_by_sign bits H). rewrite (magnitude_of_pattern bits H) in *.
  destruct (Z.ltb_spec bits 0).
  - destruct (Z.ltb_spec (- (bits + 2 ^ SIGN_BIT) - 1) 0); lia.
  - destruct (Z.ltb_spec bits 0); lia.
Qed.

(** ** The order *)

Lemma units_of_magnitude_between (m : Z) :
  0 <= m -> let field := m / 2 ^ MANTISSA_BITS in
  0 <= field /\ 0 <= units_of_magnitude m < 2 ^ (MANTISSA_BITS + field)
  /\ (1 <= field -> 2 ^ (MANTISSA_BITS + field - 1) <= units_of_magnitude m).
Proof.
  intros Hm field. unfold units_of_magnitude. fold field.
  pose proof (Z.mod_pos_bound m (2 ^ MANTISSA_BITS) eq_refl) as Hfraction.
  assert (0 <= field) as Hfield by (apply Z.div_pos; easy).
  destruct (Z.eqb_spec field 0) as [-> | Hsome].
  - rewrite Z.add_0_r. lia.
  - assert (0 < 2 ^ (field - 1)) as Hpower by (apply Z.pow_pos_nonneg; lia).
    replace (MANTISSA_BITS + field) with (1 + MANTISSA_BITS + (field - 1)) by ring.
    replace (1 + MANTISSA_BITS + (field - 1) - 1) with (MANTISSA_BITS + (field - 1)) by ring.
    rewrite !Z.pow_add_r by (unfold MANTISSA_BITS; lia). change (2 ^ 1) with 2.
    set (one := 2 ^ MANTISSA_BITS) in *. set (power := 2 ^ (field - 1)) in *. nia.
Qed.

Theorem magnitudes_are_monotone (m m' : Z) : 0 <= m < m' -> units_of_magnitude m < units_of_magnitude m'.
Proof.
  intros Hm. destruct (units_of_magnitude_between m ltac:(lia)) as (Hfield & Hbelow & _).
  destruct (units_of_magnitude_between m' ltac:(lia)) as (_ & _ & Habove).
  assert (m / 2 ^ MANTISSA_BITS <= m' / 2 ^ MANTISSA_BITS) as Horder by
    (apply Z.div_le_mono; [reflexivity|lia]).
  destruct (Z.eq_dec (m / 2 ^ MANTISSA_BITS) (m' / 2 ^ MANTISSA_BITS)) as [Hsame | Hdiffer].
  - pose proof (Z.div_mod m (2 ^ MANTISSA_BITS) ltac:(discriminate)).
    pose proof (Z.div_mod m' (2 ^ MANTISSA_BITS) ltac:(discriminate)).
    unfold units_of_magnitude. rewrite <- Hsame in *. destruct (Z.eqb_spec (m / 2 ^ MANTISSA_BITS) 0); [lia|].
    apply Z.mul_lt_mono_pos_r; [apply Z.pow_pos_nonneg; lia|lia].
  - apply Z.lt_le_trans with (1 := proj2 Hbelow). eapply Z.le_trans; [|apply Habove; lia].
    apply Z.pow_le_mono_r; lia.
Qed.

(** Keys are in the order of values; the two zeros alone are equal in value, -0.0 first. *)
Theorem keys_are_in_the_order_of_values (a b : Z) :
  is_pattern a -> is_pattern b -> units a < units b -> order_key a < order_key b.
Proof.
  intros Ha Hb Hless. rewrite !order_key_by_sign by assumption. unfold units in Hless.
  pose proof (magnitude_bounds a). pose proof (magnitude_bounds b).
  destruct (units_of_magnitude_between (magnitude a) ltac:(lia)) as (_ & Ha0 & _).
  destruct (units_of_magnitude_between (magnitude b) ltac:(lia)) as (_ & Hb0 & _).
  destruct (a <? 0), (b <? 0); try lia.
  - destruct (Z.lt_ge_cases (magnitude b) (magnitude a)) as [H' | H']; [lia|].
    destruct (Z.eq_dec (magnitude a) (magnitude b)) as [Heq | Hneq]; [rewrite Heq in Hless; lia|].
    pose proof (magnitudes_are_monotone (magnitude a) (magnitude b)). lia.
  - destruct (Z.lt_ge_cases (magnitude a) (magnitude b)) as [H' | H']; [lia|].
    destruct (Z.eq_dec (magnitude a) (magnitude b)) as [Heq | Hneq]; [rewrite Heq in Hless; lia|].
    pose proof (magnitudes_are_monotone (magnitude b) (magnitude a)). lia.
Qed.

Theorem values_are_in_the_order_of_keys (a b : Z) :
  is_pattern a -> is_pattern b -> order_key a <= order_key b -> units a <= units b.
Proof.
  intros Ha Hb Hkeys. apply Z.nlt_ge. intros H. apply keys_are_in_the_order_of_values in H;
    [lia|assumption..].
Qed.

Theorem negative_zero_is_just_below_zero : order_key (- 2 ^ SIGN_BIT) = -1 /\ order_key 0 = 0.
Proof. split; reflexivity. Qed.

(** Finite keys lie strictly between those of the infinities, and the keys of NaN outside. *)
Theorem keys_of_what_is_not_finite (bits : Z) :
  is_pattern bits ->
  (is_finite_pattern bits -> - INFINITY - 1 < order_key bits < INFINITY)
  /\ (is_infinite bits = true -> order_key bits = if bits <? 0 then - INFINITY - 1 else INFINITY)
  /\ (is_nan bits = true -> order_key bits < - INFINITY - 1 \/ INFINITY < order_key bits).
Proof.
  intros H. rewrite order_key_by_sign by assumption. pose proof (magnitude_bounds bits).
  unfold is_finite_pattern, is_infinite, is_nan. assert (0 < INFINITY) by reflexivity.
  rewrite Z.eqb_eq, Z.ltb_lt. destruct (bits <? 0); repeat split; lia.
Qed.
