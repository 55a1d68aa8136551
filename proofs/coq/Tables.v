(** The tables of convergence_jax/exact/constants.py that `exp` and `ln` read are what their docstrings say.

    Proved: every entry is the nearest integer to its real value (or equals the integer that it is defined to
    be), so that none can be changed by one; and what the algorithms need beside: that a reciprocal brings its
    interval to within one 256th above one. The numbers are those of the code, written by constants.py. *)
From Coq Require Import ZArith Reals List Lia Lra.
From Interval Require Import Tactic Real.Xreal Interval.Interval Interval.Float_full.
From Interval Require Import Float.Basic Float.Specific_ops Float.Specific_stdz.
From Convergence Require Import Constants.
Import ListNotations.
Open Scope Z_scope.

Definition nearest (n : Z) (x : R) : Prop := (Rabs (IZR n - x) <= 1 / 2)%R.

(** A list of three digits as the code holds it, most significant first. *)
Definition of_digits (digits : list Z) : Z := fold_left (fun n digit => n * 2 ^ 32 + digit) digits 0.

Definition entries : list nat := seq 0 (Z.to_nat TABLE_STEPS).

Lemma every_entry (check : nat -> bool) : forallb check entries = true ->
  forall i, 0 <= i < TABLE_STEPS -> check (Z.to_nat i) = true.
Proof.
  intros all i H. rewrite forallb_forall in all. apply all, in_seq. unfold TABLE_STEPS in *. lia.
Qed.

Notation exp_entry i := (nth (Z.to_nat i) EXP_TABLE 0) (only parsing).
Notation reciprocal i := (nth (Z.to_nat i) RECIPROCALS 0) (only parsing).
Notation ln_shift i := (nth (Z.to_nat i) LN_SHIFTS 0) (only parsing).
Notation ln_entry i := (nth (Z.to_nat i) LN_TABLE 0) (only parsing).

(** ** Lengths *)

Theorem tables_have_one_entry_a_step :
  Forall (fun table => Z.of_nat (length table) = TABLE_STEPS) [EXP_TABLE; RECIPROCALS; LN_SHIFTS; LN_TABLE].
Proof. repeat constructor. Qed.

Open Scope R_scope.

(** ** ln 2, its reciprocal, and the coefficients *)

Theorem ln2_is_nearest : nearest LN2 (ln 2 * 2 ^ 64).
Proof. unfold nearest, LN2. interval with (i_prec 100). Qed.

Theorem log2e_is_nearest : nearest LOG2E ((1 / ln 2 - 1) * 2 ^ 64).
Proof. unfold nearest, LOG2E. interval with (i_prec 100). Qed.

Theorem ln2_digits_are_nearest : nearest (of_digits LN2_DIGITS) (ln 2 * 2 ^ 96).
Proof.
  unfold nearest. let n := eval vm_compute in (of_digits LN2_DIGITS) in change (of_digits LN2_DIGITS) with n.
  interval with (i_prec 130).
Qed.

Theorem log2e_digits_are_nearest : nearest (of_digits LOG2E_DIGITS) ((1 / ln 2 - 1) * 2 ^ 96).
Proof.
  unfold nearest.
  let n := eval vm_compute in (of_digits LOG2E_DIGITS) in change (of_digits LOG2E_DIGITS) with n.
  interval with (i_prec 130).
Qed.

Theorem digits_are_digits :
  Forall (fun digit => (0 <= digit < 2 ^ DIGIT_BITS)%Z) (LN2_DIGITS ++ LOG2E_DIGITS) /\
  length LN2_DIGITS = 3%nat /\ length LOG2E_DIGITS = 3%nat.
Proof. repeat split; repeat constructor; discriminate. Qed.

(** The coefficient of [t^n] in [256 * (2^(t/256) - 1)]. *)
Definition exp_coefficient (n : nat) : R := 256 * (ln 2 / 256) ^ n / INR (fact n).

Theorem exp_coefficients_are_nearest (n : nat) : (1 <= n <= 6)%nat ->
  nearest (nth (n - 1) EXP_COEFFICIENTS 0%Z) (exp_coefficient n * 2 ^ 64).
Proof.
  intros Hn. unfold nearest, exp_coefficient.
  assert (n = 1 \/ n = 2 \/ n = 3 \/ n = 4 \/ n = 5 \/ n = 6)%nat as cases by lia.
  destruct cases as [-> | [-> | [-> | [-> | [-> | ->]]]]];
    rewrite INR_IZR_INZ; match goal with |- context [IZR (Z.of_nat ?n)] =>
      let z := eval vm_compute in (Z.of_nat n) in change (Z.of_nat n) with z end;
    cbn [nth Nat.sub EXP_COEFFICIENTS]; interval with (i_prec 130).
Qed.

Theorem exp_coefficients_end_at_degree_six : length EXP_COEFFICIENTS = 6%nat.
Proof. reflexivity. Qed.

(** The coefficient of [t^n] in [128 * ln (1 + t/128)], without its sign. *)
Theorem ln_coefficients_are_nearest (n : Z) : (2 <= n <= 8)%Z ->
  nearest (nth (Z.to_nat (n - 2)) LN_COEFFICIENTS 0%Z) (128 / 128 ^ Z.to_nat n / IZR n * 2 ^ 64).
Proof.
  intros Hn. unfold nearest.
  assert (n = 2 \/ n = 3 \/ n = 4 \/ n = 5 \/ n = 6 \/ n = 7 \/ n = 8)%Z as cases by lia.
  destruct cases as [-> | [-> | [-> | [-> | [-> | [-> | ->]]]]]];
    repeat match goal with |- context [Z.to_nat ?z] =>
      let n := eval vm_compute in (Z.to_nat z) in change (Z.to_nat z) with n end;
    cbn [nth LN_COEFFICIENTS]; interval with (i_prec 100).
Qed.

Theorem ln_coefficients_end_at_degree_eight : length LN_COEFFICIENTS = 7%nat.
Proof. reflexivity. Qed.

(** ** Reciprocals and shifts *)

(** The least integer that is at least [2^16 / (1 + i / 256)], and the shift by the size of [i]. *)
Definition reciprocal_is_least (n : nat) : bool :=
  let i := Z.of_nat n in let r := nth n RECIPROCALS 0%Z in
  ((TABLE_STEPS * 2 ^ 16 <=? r * (TABLE_STEPS + i)) &&
   ((r - 1) * (TABLE_STEPS + i) <? TABLE_STEPS * 2 ^ 16) &&
   (nth n LN_SHIFTS 0 =? Z.log2 (Z.max i 1)))%Z%bool.

Lemma reciprocals_are_least : forallb reciprocal_is_least entries = true.
Proof. vm_cast_no_check (eq_refl true). Qed.

Theorem a_reciprocal_is_rounded_up (i : Z) : (0 <= i < TABLE_STEPS)%Z ->
  ((reciprocal i - 1) * (TABLE_STEPS + i) < TABLE_STEPS * 2 ^ 16 <= reciprocal i * (TABLE_STEPS + i))%Z.
Proof.
  intros Hi. pose proof (every_entry _ reciprocals_are_least i Hi) as H.
  unfold reciprocal_is_least in H. rewrite Z2Nat.id in H by lia. lia.
Qed.

Theorem a_shift_is_a_binary_size (i : Z) : (0 <= i < TABLE_STEPS)%Z -> ln_shift i = Z.log2 (Z.max i 1).
Proof.
  intros Hi. pose proof (every_entry _ reciprocals_are_least i Hi) as H.
  unfold reciprocal_is_least in H. rewrite Z2Nat.id in H by lia. lia.
Qed.

(** From [1 + i/256] to [1 + (i+1)/256], times the reciprocal, lies within [1, 1 + 1/256]; the logarithms
    have room for that of the rest; and other ranges that the code relies on. *)
Definition ln_step_has_room (n : nat) : bool :=
  let i := Z.of_nat n in let r := nth n RECIPROCALS 0%Z in let shift := nth n LN_SHIFTS 0%Z in
  ((r * (TABLE_STEPS + i + 1) <=? (TABLE_STEPS + 1) * 2 ^ 16) && (2 ^ 15 <? r) && (r <=? 2 ^ 16) &&
   (0 <=? shift) && (shift <=? 7) && (0 <=? nth n LN_TABLE 0) &&
   (nth n LN_TABLE 0 + 2 ^ (63 - shift) <? 2 ^ 64))%Z%bool.

Lemma ln_steps_have_room : forallb ln_step_has_room entries = true.
Proof. vm_cast_no_check (eq_refl true). Qed.

Theorem a_step_of_ln_fits (i : Z) : (0 <= i < TABLE_STEPS)%Z ->
  (TABLE_STEPS * 2 ^ 16 <= reciprocal i * (TABLE_STEPS + i) /\
   reciprocal i * (TABLE_STEPS + i + 1) <= (TABLE_STEPS + 1) * 2 ^ 16 /\
   2 ^ 15 < reciprocal i <= 2 ^ 16 /\ 0 <= ln_shift i <= 7 /\
   0 <= ln_entry i /\ ln_entry i + 2 ^ (63 - ln_shift i) < 2 ^ 64)%Z.
Proof.
  intros Hi. pose proof (every_entry _ ln_steps_have_room i Hi) as H.
  pose proof (a_reciprocal_is_rounded_up i Hi). unfold ln_step_has_room in H. rewrite Z2Nat.id in H by lia.
  rewrite !Bool.andb_true_iff, !Z.leb_le, !Z.ltb_lt in H. intuition.
Qed.

(** ** Powers of two and logarithms: by intervals whose ends are integers times powers of two, of 90 bits *)

Module Number := SpecificFloat StdZRadix2.
Module Range := FloatIntervalFull Number.

Definition bits := Number.PtoP 90.
Definition range_of (n : Z) : Range.type := Range.fromZ bits n.

(** Whether every number of a range is between -1 and 1. *)
Definition is_within_one (range : Range.type) : bool :=
  match Range.sign_strict (Range.sub bits range (range_of 1)),
        Range.sign_strict (Range.add bits range (range_of 1)) with
  | Xlt, Xgt => true
  | _, _ => false
  end.

Lemma a_range_within_one (range : Range.type) (x : R) :
  is_within_one range = true -> contains (Range.convert range) (Xreal x) -> -1 < x < 1.
Proof.
  intros H inside. unfold is_within_one in H.
  pose proof (Range.sign_strict_correct (Range.sub bits range (range_of 1))) as below.
  pose proof (Range.sign_strict_correct (Range.add bits range (range_of 1))) as above.
  do 2 destruct Range.sign_strict; try discriminate.
  specialize (below _ (Range.sub_correct _ _ _ _ _ inside (Range.fromZ_correct _ 1))) as [_ below].
  specialize (above _ (Range.add_correct _ _ _ _ _ inside (Range.fromZ_correct _ 1))) as [_ above].
  cbn -[IZR] in below, above. lra.
Qed.

Lemma a_product_is_contained (a b : Range.type) (x y : R) : contains (Range.convert a) (Xreal x) ->
  contains (Range.convert b) (Xreal y) -> contains (Range.convert (Range.mul bits a b)) (Xreal (x * y)).
Proof. intros Ha Hb. exact (Range.mul_correct bits _ _ _ _ Ha Hb). Qed.

Lemma a_difference_is_contained (a b : Range.type) (x y : R) : contains (Range.convert a) (Xreal x) ->
  contains (Range.convert b) (Xreal y) -> contains (Range.convert (Range.sub bits a b)) (Xreal (x - y)).
Proof. intros Ha Hb. exact (Range.sub_correct bits _ _ _ _ Ha Hb). Qed.

Lemma a_quotient_is_contained (n d : Z) : (0 < d)%Z ->
  contains (Range.convert (Range.div bits (range_of n) (range_of d))) (Xreal (IZR n / IZR d)).
Proof.
  intros Hd. replace (Xreal (IZR n / IZR d)) with (Xdiv (Xreal (IZR n)) (Xreal (IZR d))).
  2: { apply IZR_lt in Hd. cbn -[IZR]. unfold Xdiv'.
       destruct (is_zero_spec (IZR d)); [lra | reflexivity]. }
  apply Range.div_correct; apply Range.fromZ_correct.
Qed.

Lemma a_logarithm_is_contained (a : Range.type) (x : R) : 0 < x -> contains (Range.convert a) (Xreal x) ->
  contains (Range.convert (Range.ln bits a)) (Xreal (ln x)).
Proof.
  intros positive inside. replace (Xreal (ln x)) with (Xln (Xreal x)).
  2: { cbn. unfold Xln'. destruct (is_positive_spec x); [reflexivity | lra]. }
  apply Range.ln_correct, inside.
Qed.

(** [2^(i / d)], and the two factors of [2^(i / 256)]: sixteen steps of a sixteenth and of a 256th. *)
Definition power_of_two (ln2 : Range.type) (d : Z) (n : nat) : Range.type :=
  Range.exp bits (Range.mul bits (Range.div bits (range_of (Z.of_nat n)) (range_of d)) ln2).
Definition range_of_ln2 : Range.type := Range.ln bits (Range.div bits (range_of 2) (range_of 1)).

(** [2 * (2^63 * coarse * fine - entry)], which must be between -1 and 1. *)
Definition twice_exp_excess (coarse fine : Range.type) (entry : Z) : Range.type :=
  Range.sub bits (Range.mul bits (range_of (2 ^ 64)) (Range.mul bits coarse fine)) (range_of (2 * entry)).

Lemma exp_entries_are_nearest :
  let ln2 := range_of_ln2 in
  let coarse := map (power_of_two ln2 16) (seq 0 16) in
  let fine := map (power_of_two ln2 256) (seq 0 16) in
  forallb (fun n => is_within_one (twice_exp_excess
    (nth (n / 16) coarse (power_of_two ln2 16 0)) (nth (n mod 16) fine (power_of_two ln2 256 0))
    (nth n EXP_TABLE 0%Z))) entries = true.
Proof. vm_cast_no_check (eq_refl true). Qed.

Lemma a_power_of_two_is_contained (d : Z) (n : nat) : (0 < d)%Z ->
  contains (Range.convert (power_of_two range_of_ln2 d n)) (Xreal (Rpower 2 (IZR (Z.of_nat n) / IZR d))).
Proof.
  intros Hd.
  change (Xreal (Rpower 2 (IZR (Z.of_nat n) / IZR d))) with (Xexp (Xreal (IZR (Z.of_nat n) / IZR d * ln 2))).
  apply Range.exp_correct, a_product_is_contained; [apply a_quotient_is_contained, Hd|].
  apply a_logarithm_is_contained; [lra|].
  replace 2 with (2 / 1) by lra. apply a_quotient_is_contained. reflexivity.
Qed.

Theorem exp_table_is_nearest (i : Z) : (0 <= i < TABLE_STEPS)%Z ->
  nearest (exp_entry i) (Rpower 2 (IZR i / 256) * IZR (2 ^ 63)).
Proof.
  intros Hi. pose proof (every_entry _ exp_entries_are_nearest i Hi) as H. cbv beta zeta in H.
  unfold TABLE_STEPS in Hi. pose proof (Nat.div_mod (Z.to_nat i) 16 ltac:(lia)) as divided.
  pose proof (Nat.mod_upper_bound (Z.to_nat i) 16 ltac:(lia)).
  rewrite !map_nth, !seq_nth, !Nat.add_0_l in H by lia.
  set (entry := exp_entry i) in *. clearbody entry.
  eapply a_range_within_one with (x := IZR (2 ^ 64) * (Rpower 2 _ * Rpower 2 _) - IZR (2 * entry)) in H.
  2: { apply a_difference_is_contained; [|apply Range.fromZ_correct].
       apply a_product_is_contained; [apply Range.fromZ_correct|].
       apply a_product_is_contained; apply a_power_of_two_is_contained; reflexivity. }
  rewrite <- Rpower_plus in H.
  replace (IZR (Z.of_nat (Z.to_nat i / 16)) / 16 + IZR (Z.of_nat (Z.to_nat i mod 16)) / 256)
    with (IZR i / 256) in H.
  2: { replace i with (16 * Z.of_nat (Z.to_nat i / 16) + Z.of_nat (Z.to_nat i mod 16))%Z at 1 by lia.
       rewrite plus_IZR, mult_IZR. lra. }
  rewrite mult_IZR in H.
  replace (IZR (2 ^ 64)) with (2 * IZR (2 ^ 63)) in H by (rewrite <- mult_IZR; reflexivity).
  unfold nearest. apply Rabs_le. lra.
Qed.

(** [2 * (2^(71 - shift) * ln (2^16 / r) - entry)], which must be between -1 and 1. *)
Definition twice_ln_excess (r shift entry : Z) : Range.type :=
  let logarithm := Range.ln bits (Range.div bits (range_of (2 ^ 16)) (range_of r)) in
  Range.sub bits (Range.mul bits (range_of (2 ^ (72 - shift))) logarithm) (range_of (2 * entry)).

Lemma ln_entries_are_nearest :
  forallb (fun n => is_within_one (twice_ln_excess (nth n RECIPROCALS 0%Z) (nth n LN_SHIFTS 0%Z)
                                                   (nth n LN_TABLE 0%Z))) entries = true.
Proof. vm_cast_no_check (eq_refl true). Qed.

Theorem ln_table_is_nearest (i : Z) : (0 <= i < TABLE_STEPS)%Z ->
  nearest (ln_entry i) (- ln (IZR (reciprocal i) / IZR (2 ^ 16)) * IZR (2 ^ (71 - ln_shift i))).
Proof.
  intros Hi. pose proof (every_entry _ ln_entries_are_nearest i Hi) as H. cbv beta in H.
  destruct (a_step_of_ln_fits i Hi) as (_ & _ & [Hr _] & shift_range & _).
  set (r := reciprocal i) in *. set (shift := ln_shift i) in *. set (entry := ln_entry i) in *.
  clearbody r shift entry. apply Z.lt_trans with (n := 0%Z) in Hr; [|reflexivity].
  assert (0 < IZR r) by (apply IZR_lt, Hr). assert (0 < IZR (2 ^ 16)) by (apply IZR_lt; reflexivity).
  eapply a_range_within_one
    with (x := IZR (2 ^ (72 - shift)) * ln (IZR (2 ^ 16) / IZR r) - IZR (2 * entry)) in H.
  - replace (72 - shift)%Z with (1 + (71 - shift))%Z in H by ring.
    rewrite Z.pow_add_r, !mult_IZR in H by lia. change (IZR (2 ^ 1)) with 2 in H.
    replace (IZR (2 ^ 16) / IZR r) with (/ (IZR r / IZR (2 ^ 16))) in H by (field; lra).
    rewrite ln_Rinv in H by (apply Rdiv_lt_0_compat; lra).
    unfold nearest. apply Rabs_le. lra.
  - apply a_difference_is_contained; [|apply Range.fromZ_correct].
    apply a_product_is_contained; [apply Range.fromZ_correct|].
    apply a_logarithm_is_contained; [apply Rdiv_lt_0_compat; lra | apply a_quotient_is_contained, Hr].
Qed.
