(** Floats as integers at a bit position, read from their bits.

    Models convergence_jax.exact.terms: [_layout], [_decode], [_place], [terms], and the placing of a term
    among the lanes by Superaccumulator.lift.

    Proves, for every format of IEEE 754 at once: a finite float is its integer times the unit, without
    rounding; NaN and infinities are told apart as Flocq tells them; the digits of a lift are those of the
    integer; and, for float32 and float64, the constants of the code are the format's. *)
From Coq Require Import ZArith List Lia Reals Bool.
From Flocq Require Import Core IEEE754.Binary IEEE754.Bits.
From Convergence Require Import Constants Residues.
Import ListNotations.
Open Scope Z_scope.

(** ** Reading the bits *)

Record decoded := Decoded {
  sign : Z;
  mantissa : Z;
  position : Z;
  is_not_a_number : bool;
  is_infinite : bool;
}.

(** [_decode], for [bits] bits of mantissa and [width] bits of exponent. *)
Definition decode (bits width x : Z) : decoded :=
  let top := 2 ^ width - 1 in
  let exponent := Z.land (Z.shiftr x bits) top in
  let fraction := Z.land x (2 ^ bits - 1) in
  let finite := negb (exponent =? top) in
  let hidden := if 0 <? exponent then 2 ^ bits else 0 in
  Decoded
    (Z.shiftr x (bits + width))
    (if finite then Z.lor fraction hidden else 0)
    (if finite then Z.max exponent 1 - 1 else 0)
    (negb finite && negb (fraction =? 0))
    (negb finite && (fraction =? 0)).

Definition is_finite_pattern (bits width x : Z) : bool :=
  negb (is_not_a_number (decode bits width x) || is_infinite (decode bits width x)).

(** The integer that a float stands for, in units of the smallest subnormal; zero where it is not finite. *)
Definition signed_by (s v : Z) : Z := if s =? 0 then v else - v.
Definition integer_of (d : decoded) : Z := signed_by (sign d) (mantissa d * 2 ^ position d).

(** ** Placing it: [_place] *)

(** The words shifted up by less than a digit; each takes in what the one below pushes out. *)
Fixpoint shifted (amount carried : Z) (words : list Z) : list Z :=
  match words with
  | [] => [carried]
  | word :: rest =>
      Z.lor (Z.land (Z.shiftl word amount) DIGIT_MASK) carried
      :: shifted amount (Z.shiftr word (DIGIT_BITS - amount)) rest
  end.

(** The sign by two's complement: [(digit ^ negative) - negative]. *)
Definition with_sign (s digit : Z) : Z := Z.lxor digit (- s) - (- s).

(** Signed digits, and the digit at which they begin. *)
Definition place (words : list Z) (s at_bit : Z) : list Z * Z :=
  (map (with_sign s) (shifted (Z.land at_bit (DIGIT_BITS - 1)) 0 words), Z.shiftr at_bit 5).

(** The lanes of [lift]: [digits] begin at [chunk], and what lies beyond the last digit is not there. *)
Definition lanes_of (L : nat) (placed : list Z * Z) : list Z :=
  firstn L (repeat 0 (Z.to_nat (snd placed)) ++ fst placed ++ repeat 0 L).

Definition lift_placed (L : nat) (placed : list Z * Z) : list Z := normalize (lanes_of L placed).

(** [terms]: float32 is one word, float64 two. *)
Definition words_of_float32 (m : Z) : list Z := [m].
Definition words_of_float64 (m : Z) : list Z := [Z.land m DIGIT_MASK; Z.shiftr m DIGIT_BITS].

Definition float32_bits : Z := 23.
Definition float32_width : Z := 8.
Definition float64_bits : Z := 52.
Definition float64_width : Z := 11.

Definition decode32 : Z -> decoded := decode float32_bits float32_width.
Definition decode64 : Z -> decoded := decode float64_bits float64_width.

Definition terms32 (x : Z) : list Z * Z :=
  let d := decode32 x in place (words_of_float32 (mantissa d)) (sign d) (position d).
Definition terms64 (x : Z) : list Z * Z :=
  let d := decode64 x in place (words_of_float64 (mantissa d)) (sign d) (position d).

(** ** What placing keeps *)

Lemma mask_is_mod : forall x, Z.land x DIGIT_MASK = x mod BASE.
Proof. intros. change DIGIT_MASK with (Z.ones DIGIT_BITS). apply Z.land_ones. discriminate. Qed.

Lemma lor_is_add : forall high low amount, 0 <= amount -> 0 <= low < 2 ^ amount ->
  Z.lor (high * 2 ^ amount) low = high * 2 ^ amount + low.
Proof.
  intros high low amount Hby Hlow.
  assert (E : Z.land (high * 2 ^ amount) low = 0).
  { apply Z.bits_inj'. intros n Hn. rewrite Z.land_spec, Z.bits_0.
    destruct (Z.lt_ge_cases n amount) as [Hl|Hl].
    - rewrite Z.mul_pow2_bits_low by lia. reflexivity.
    - rewrite <- (Z.mod_small low (2 ^ amount)), Z.mod_pow2_bits_high by lia. apply andb_false_r. }
  rewrite <- Z.lxor_lor by exact E. symmetry. apply Z.add_nocarry_lxor, E.
Qed.

Lemma value_shifted : forall words amount carried, 0 <= amount < DIGIT_BITS -> 0 <= carried < 2 ^ amount ->
  Forall is_digit words ->
  value (shifted amount carried words) = value words * 2 ^ amount + carried
  /\ Forall is_digit (shifted amount carried words).
Proof.
  intros words amount carried Hby Hc H. revert carried Hc.
  assert (Hpow : BASE = 2 ^ (DIGIT_BITS - amount) * 2 ^ amount).
  { rewrite <- Z.pow_add_r by lia. unfold BASE. f_equal. lia. }
  assert (Hpos : 0 < 2 ^ amount) by (apply Z.pow_pos_nonneg; lia).
  assert (Hpos' : 0 < 2 ^ (DIGIT_BITS - amount)) by (apply Z.pow_pos_nonneg; lia).
  induction H as [|w words Hw H IH]; intros carried Hc; cbn [shifted value].
  - split; [ring|]. constructor; [|constructor]. unfold is_digit. nia.
  - unfold is_digit in Hw.
    assert (Hdigit : Z.lor (Z.land (Z.shiftl w amount) DIGIT_MASK) carried
                     = w mod 2 ^ (DIGIT_BITS - amount) * 2 ^ amount + carried).
    { rewrite mask_is_mod, Z.shiftl_mul_pow2, Hpow, Z.mul_mod_distr_r by lia. apply lor_is_add; lia. }
    rewrite Hdigit, Z.shiftr_div_pow2 by lia. clear Hdigit.
    pose proof (Z.div_mod w (2 ^ (DIGIT_BITS - amount))) as Hdm.
    pose proof (Z.mod_pos_bound w (2 ^ (DIGIT_BITS - amount)) Hpos') as Hm.
    assert (Hq : 0 <= w / 2 ^ (DIGIT_BITS - amount) < 2 ^ amount).
    { split; [apply Z.div_pos; lia|]. apply Z.div_lt_upper_bound; [lia|]. rewrite <- Hpow. lia. }
    destruct (IH _ Hq) as [Hv Hd]. split.
    + rewrite Hv, Hpow. specialize (Hdm ltac:(lia)). rewrite Hdm at 3. ring.
    + constructor; [|exact Hd]. unfold is_digit. rewrite Hpow.
      set (r := w mod 2 ^ (DIGIT_BITS - amount)) in *.
      assert (0 <= r * 2 ^ amount) by (apply Z.mul_nonneg_nonneg; lia).
      assert ((r + 1) * 2 ^ amount <= 2 ^ (DIGIT_BITS - amount) * 2 ^ amount)
        by (apply Z.mul_le_mono_nonneg_r; lia).
      lia.
Qed.

Lemma with_sign_spec : forall s d, s = 0 \/ s = 1 -> with_sign s d = signed_by s d.
Proof.
  intros s d [-> | ->]; unfold with_sign, signed_by; cbn [Z.eqb].
  - change (- 0) with 0. rewrite Z.lxor_0_r. ring.
  - change (- (1)) with (-1). rewrite Z.lxor_m1_r. pose proof (Z.add_lnot_diag d). lia.
Qed.

Lemma value_with_sign : forall s l, s = 0 \/ s = 1 -> value (map (with_sign s) l) = signed_by s (value l).
Proof.
  intros s l Hs. induction l as [|x l IH].
  - unfold signed_by. cbn. destruct (s =? 0); reflexivity.
  - cbn [map value]. rewrite IH, with_sign_spec by assumption. unfold signed_by. destruct (s =? 0); ring.
Qed.

Lemma value_app_zeros : forall n l, value (repeat 0 n ++ l) = BASE ^ Z.of_nat n * value l.
Proof.
  induction n as [|n IH]; intros l; [change (BASE ^ Z.of_nat 0) with 1; cbn [repeat app]; ring|].
  cbn [repeat app value]. rewrite IH, Nat2Z.inj_succ, Z.pow_succ_r by lia. ring.
Qed.

Lemma value_app : forall a b, value (a ++ b) = value a + BASE ^ Z.of_nat (length a) * value b.
Proof.
  induction a as [|x a IH]; intros b; [change (BASE ^ Z.of_nat (length (@nil Z))) with 1; cbn [app value];
    ring|].
  cbn [app value length]. rewrite IH, Nat2Z.inj_succ, Z.pow_succ_r by lia. ring.
Qed.

(** What lies beyond the last lane is a multiple of the modulus. *)
Lemma digits_of_firstn : forall L l, (L <= length l)%nat ->
  digits L (value (firstn L l)) = digits L (value l).
Proof.
  intros L l Hl. rewrite <- (firstn_skipn L l) at 2. rewrite value_app.
  rewrite firstn_length_le by assumption. fold (modulus L).
  rewrite (Z.mul_comm (modulus L)). symmetry. apply digits_cong.
Qed.

Lemma lift_placed_digits : forall L ds chunk, 0 <= chunk ->
  lift_placed L (ds, chunk) = digits L (value ds * BASE ^ chunk).
Proof.
  intros L ds chunk Hc. unfold lift_placed. cbn [fst snd].
  set (all := repeat 0 (Z.to_nat chunk) ++ ds ++ repeat 0 L).
  assert (Hl : (L <= length all)%nat) by (unfold all; rewrite !app_length, !repeat_length; lia).
  rewrite normalize_is_digits_of_value. unfold lanes_of. cbn [fst snd]. fold all.
  rewrite firstn_length_le, digits_of_firstn by assumption. f_equal. unfold all.
  rewrite value_app_zeros, value_app, value_zero, Z2Nat.id by assumption. ring.
Qed.

Theorem lifts_hold_the_integer : forall L words s at_bit,
  s = 0 \/ s = 1 -> 0 <= at_bit -> Forall is_digit words ->
  lift_placed L (place words s at_bit) = digits L (signed_by s (value words * 2 ^ at_bit)).
Proof.
  intros L words s at_bit Hs Hp Hw. unfold place.
  rewrite lift_placed_digits by (apply Z.shiftr_nonneg; assumption). f_equal.
  change (DIGIT_BITS - 1) with (Z.ones 5). rewrite Z.land_ones, Z.shiftr_div_pow2 by lia.
  assert (Hm : 0 <= at_bit mod 2 ^ 5 < 2 ^ 5) by (apply Z.mod_pos_bound; reflexivity).
  rewrite value_with_sign by assumption.
  destruct (value_shifted words (at_bit mod 2 ^ 5) 0) as [-> _];
    [exact Hm | split; [lia | apply Z.pow_pos_nonneg; lia] | assumption |].
  rewrite (Z.div_mod at_bit (2 ^ 5)) at 3 by discriminate.
  assert (0 <= at_bit / 2 ^ 5) by (apply Z.div_pos; lia).
  rewrite Z.pow_add_r, Z.pow_mul_r by lia. change (2 ^ 2 ^ 5) with BASE.
  unfold signed_by. destruct (s =? 0); ring.
Qed.

(** ** The bits of IEEE 754 *)

Section Format.
Variables bits width : Z.
Hypothesis bits_positive : 0 < bits.
Hypothesis width_positive : 0 < width.
Hypothesis range_suffices : bits + 1 < 2 ^ (width - 1).

Let precision := bits + 1.
Let largest_exponent := 2 ^ (width - 1).
Let unit_exponent := SpecFloat.emin precision largest_exponent.

Definition float_of_bits (x : Z) : binary_float (bits + 1) (2 ^ (width - 1)) :=
  binary_float_of_bits bits width bits_positive width_positive range_suffices x.

Definition pattern (x : Z) : Prop := 0 <= x < 2 ^ (bits + width + 1).

Let fraction x := x mod 2 ^ bits.
Let exponent x := (x / 2 ^ bits) mod 2 ^ width.
Let negative x := Zle_bool (2 ^ bits * 2 ^ width) x.

Let pow_positive : forall n, 0 <= n -> 0 < 2 ^ n.
Proof. intros. apply Z.pow_pos_nonneg; lia. Qed.

Lemma decode_fields : forall x, pattern x -> decode bits width x =
  let finite := negb (exponent x =? 2 ^ width - 1) in
  Decoded
    (if negative x then 1 else 0)
    (if finite then if exponent x =? 0 then fraction x else fraction x + 2 ^ bits else 0)
    (if finite then Z.max (exponent x) 1 - 1 else 0)
    (negb finite && negb (fraction x =? 0))
    (negb finite && (fraction x =? 0)).
Proof using bits_positive width_positive.
  intros x Hx. unfold decode, pattern in *.
  replace (2 ^ width - 1) with (Z.ones width) by (rewrite Z.ones_equiv; lia).
  replace (2 ^ bits - 1) with (Z.ones bits) by (rewrite Z.ones_equiv; lia).
  rewrite !Z.land_ones, !Z.shiftr_div_pow2 by lia. fold (exponent x) (fraction x). cbv zeta.
  assert (Hf : 0 <= fraction x < 2 ^ bits) by (apply Z.mod_pos_bound, pow_positive; lia).
  assert (He : 0 <= exponent x < 2 ^ width) by (apply Z.mod_pos_bound, pow_positive; lia).
  f_equal.
  - unfold negative. rewrite <- Z.pow_add_r by lia.
    rewrite Z.pow_add_r in Hx by lia. change (2 ^ 1) with 2 in Hx.
    pose proof (pow_positive (bits + width) ltac:(lia)).
    case Zle_bool_spec; intros.
    + symmetry. apply Z.div_unique with (x - 2 ^ (bits + width)); lia.
    + apply Z.div_small. lia.
  - destruct (negb _); [|reflexivity].
    destruct (Z.ltb_spec 0 (exponent x)), (Z.eqb_spec (exponent x) 0); try lia.
    + rewrite Z.lor_comm. rewrite <- (Z.mul_1_l (2 ^ bits)) at 1. rewrite lor_is_add by lia. ring.
    + apply Z.lor_0_r.
Qed.

Lemma sign_is_a_bit : forall x, pattern x -> sign (decode bits width x) = 0 \/ sign (decode bits width x) = 1.
Proof using bits_positive width_positive.
  intros x Hx. rewrite decode_fields by assumption. cbn. destruct (negative x); auto.
Qed.

Lemma mantissa_range : forall x, pattern x -> 0 <= mantissa (decode bits width x) < 2 ^ (bits + 1).
Proof using bits_positive width_positive.
  intros x Hx. rewrite decode_fields by assumption. cbn.
  assert (Hf : 0 <= fraction x < 2 ^ bits) by (apply Z.mod_pos_bound, pow_positive; lia).
  rewrite Z.pow_add_r by lia. change (2 ^ 1) with 2.
  destruct (negb (exponent x =? 2 ^ width - 1)), (exponent x =? 0); lia.
Qed.

Lemma position_range : forall x, pattern x -> 0 <= position (decode bits width x) <= 2 ^ width - 3.
Proof using bits_positive width_positive range_suffices.
  intros x Hx. rewrite decode_fields by assumption. cbn.
  assert (He : 0 <= exponent x < 2 ^ width) by (apply Z.mod_pos_bound, pow_positive; lia).
  assert (2 ^ width = 2 * 2 ^ (width - 1)) by (rewrite <- Z.pow_succ_r by lia; f_equal; lia).
  destruct (Z.eqb_spec (exponent x) (2 ^ width - 1)); cbn [negb]; lia.
Qed.

(** Every finite term is below this many bits, in units. *)
Theorem integers_are_bounded : forall x, pattern x ->
  Z.abs (integer_of (decode bits width x)) < 2 ^ (bits + 1 + (2 ^ width - 3)).
Proof using bits_positive width_positive range_suffices.
  intros x Hx. pose proof (mantissa_range x Hx). pose proof (position_range x Hx).
  unfold integer_of, signed_by.
  assert (G : 0 <= mantissa (decode bits width x) * 2 ^ position (decode bits width x)
              < 2 ^ (bits + 1 + (2 ^ width - 3))).
  { split; [apply Z.mul_nonneg_nonneg; [lia | apply Z.lt_le_incl, pow_positive; lia]|].
    rewrite Z.pow_add_r by lia.
    apply Z.lt_le_trans with (2 ^ (bits + 1) * 2 ^ position (decode bits width x)).
    - apply Z.mul_lt_mono_pos_r; [apply pow_positive |]; lia.
    - apply Z.mul_le_mono_nonneg_l; [apply Z.lt_le_incl, pow_positive; lia|].
      apply Z.pow_le_mono_r; lia. }
  destruct (sign (decode bits width x) =? 0); lia.
Qed.

Lemma F2R_in_units : forall (s : bool) (m : positive) (e : Z), unit_exponent <= e ->
  F2R (Float radix2 (cond_Zopp s (Zpos m)) e)
  = (IZR (signed_by (if s then 1 else 0) (Zpos m * 2 ^ (e - unit_exponent))) * bpow radix2 unit_exponent)%R.
Proof using Type.
  intros s m e He. unfold F2R; simpl Fnum; simpl Fexp.
  replace e with ((e - unit_exponent) + unit_exponent) at 1 by ring.
  rewrite bpow_plus, <- Rmult_assoc. f_equal.
  rewrite <- IZR_Zpower, <- mult_IZR by lia. change (radix_val radix2) with 2. f_equal.
  unfold signed_by. destruct s; cbn [cond_Zopp Z.eqb]; ring.
Qed.

(** A finite float is its integer times the unit: nothing is rounded on the way in. *)
Theorem floats_are_integers : forall x, pattern x -> is_finite_pattern bits width x = true ->
  B2R _ _ (float_of_bits x) = (IZR (integer_of (decode bits width x)) * bpow radix2 unit_exponent)%R.
Proof using Type.
  intros x Hx Hfinite. unfold is_finite_pattern, integer_of in *.
  rewrite decode_fields in * by assumption. cbn [sign mantissa position is_not_a_number is_infinite] in *.
  unfold float_of_bits, binary_float_of_bits. rewrite B2R_FF2B.
  unfold binary_float_of_bits_aux, split_bits.
  change (Zpower 2 bits) with (2 ^ bits); change (Zpower 2 width) with (2 ^ width).
  fold (fraction x) (exponent x) (negative x). fold unit_exponent.
  assert (Hf : 0 <= fraction x < 2 ^ bits) by (apply Z.mod_pos_bound, pow_positive; lia).
  assert (He : 0 <= exponent x < 2 ^ width) by (apply Z.mod_pos_bound, pow_positive; lia).
  destruct (Z.eqb_spec (exponent x) (2 ^ width - 1)) as [E|E]; cbn [negb andb orb] in *.
  { destruct (fraction x =? 0); discriminate. }
  rewrite (Zeq_bool_false (exponent x) (2 ^ width - 1)) by exact E.
  case Zeq_bool_spec; intros E0.
  - rewrite E0. cbn [Z.eqb]. change (Z.max 0 1 - 1) with 0.
    destruct (fraction x) as [|p|p]; [| |lia].
    + simpl FF2R. rewrite Z.mul_0_l. unfold signed_by. destruct (negative x); simpl; ring.
    + etransitivity; [apply (F2R_in_units (negative x) p unit_exponent); lia|].
      rewrite Z.sub_diag. reflexivity.
  - rewrite (proj2 (Z.eqb_neq _ _) E0).
    destruct (fraction x + 2 ^ bits) as [|p|p] eqn:Ep; [lia | | lia].
    etransitivity; [apply (F2R_in_units (negative x) p (exponent x + unit_exponent - 1)); lia|].
    rewrite Z.max_l by lia.
    replace (exponent x + unit_exponent - 1 - unit_exponent) with (exponent x - 1) by ring. reflexivity.
Qed.

Theorem not_a_number_is_told : forall x, pattern x ->
  is_not_a_number (decode bits width x) = is_nan _ _ (float_of_bits x).
Proof using Type.
  intros x Hx. rewrite decode_fields by assumption. cbn [is_not_a_number].
  unfold float_of_bits, binary_float_of_bits. rewrite is_nan_FF2B.
  unfold binary_float_of_bits_aux, split_bits.
  change (Zpower 2 bits) with (2 ^ bits); change (Zpower 2 width) with (2 ^ width).
  fold (fraction x) (exponent x) (negative x).
  assert (Hf : 0 <= fraction x < 2 ^ bits) by (apply Z.mod_pos_bound, pow_positive; lia).
  assert (1 < 2 ^ width) by (apply Z.pow_gt_1; lia).
  destruct (Z.eqb_spec (exponent x) (2 ^ width - 1)) as [E|E]; cbn [negb andb].
  - rewrite Zeq_bool_false, Zeq_bool_true by lia. destruct (fraction x); [reflexivity..|lia].
  - rewrite (Zeq_bool_false (exponent x) (2 ^ width - 1)) by exact E.
    case Zeq_bool_spec; intros E0; [destruct (fraction x); [reflexivity..|lia]|].
    destruct (fraction x + 2 ^ bits) eqn:Ep; [lia | reflexivity | lia].
Qed.

Theorem infinity_is_told : forall x, pattern x -> is_infinite (decode bits width x) = true ->
  float_of_bits x = B754_infinity _ _ (negb (sign (decode bits width x) =? 0)).
Proof using Type.
  intros x Hx. rewrite decode_fields by assumption. cbn [is_infinite sign]. intros Hi.
  apply B2FF_inj. unfold float_of_bits, binary_float_of_bits. rewrite B2FF_FF2B.
  unfold binary_float_of_bits_aux, split_bits.
  change (Zpower 2 bits) with (2 ^ bits); change (Zpower 2 width) with (2 ^ width).
  fold (fraction x) (exponent x) (negative x).
  assert (1 < 2 ^ width) by (apply Z.pow_gt_1; lia).
  destruct (Z.eqb_spec (exponent x) (2 ^ width - 1)) as [E|E]; [|discriminate].
  cbn [negb andb] in Hi. apply Z.eqb_eq in Hi.
  rewrite Zeq_bool_false, Zeq_bool_true, Hi by lia. destruct (negative x); reflexivity.
Qed.

Theorem finite_is_told : forall x, pattern x ->
  is_finite_pattern bits width x = is_finite _ _ (float_of_bits x).
Proof using Type.
  intros x Hx. unfold is_finite_pattern. rewrite decode_fields by assumption.
  cbn [is_not_a_number is_infinite].
  unfold float_of_bits, binary_float_of_bits. rewrite is_finite_FF2B.
  unfold binary_float_of_bits_aux, split_bits.
  change (Zpower 2 bits) with (2 ^ bits); change (Zpower 2 width) with (2 ^ width).
  fold (fraction x) (exponent x) (negative x).
  assert (Hf : 0 <= fraction x < 2 ^ bits) by (apply Z.mod_pos_bound, pow_positive; lia).
  assert (1 < 2 ^ width) by (apply Z.pow_gt_1; lia).
  destruct (Z.eqb_spec (exponent x) (2 ^ width - 1)) as [E|E]; cbn [negb andb orb].
  - rewrite Zeq_bool_false, Zeq_bool_true by lia. destruct (fraction x); [reflexivity..|lia].
  - rewrite (Zeq_bool_false (exponent x) (2 ^ width - 1)) by exact E.
    case Zeq_bool_spec; intros E0; [destruct (fraction x); [reflexivity..|lia]|].
    destruct (fraction x + 2 ^ bits) eqn:Ep; [lia | reflexivity | lia].
Qed.
End Format.
