(** Rounding a bound outwards: convergence_jax/partition/answers/interval.py, [round_up] and [round_down].

    Python divides two integers with one rounding to the nearest float64; where that is on the wrong side, the
    code takes the next float. Zero has no sign here, and None is infinity.

    Proved: what is rounded up is not below the exact number, and is the smallest float64 that is not;
    likewise below, also where the division overflows. So an interval that is rounded outwards holds all that
    it held. *)
From Coq Require Import ZArith Reals Lra Lia.
From Flocq Require Import Core.
From Convergence Require Import Constants.
Open Scope R_scope.
Set Default Proof Using "Type".

(** * What the code computes *)

(** The exponents of float64, if they had no largest. *)
Definition float64_exponents : Z -> Z := FLT_exp FLOAT64_lsb 53.
Definition is_float64_unbounded (x : R) : Prop := generic_format radix2 float64_exponents x.

(** The largest finite float64, [sys.float_info.max]. *)
Definition LARGEST : R := F2R (Float radix2 (2 ^ 53 - 1) 971).

Definition nearest (exact : R) : R := round radix2 float64_exponents ZnearestE exact.

(** [round_up]; [math.nextafter] of the largest is infinity. *)
Definition round_up (exact : R) : option R :=
  let nearest := nearest exact in
  if Rlt_dec LARGEST nearest then None
  else if Rlt_dec nearest (- LARGEST) then Some (- LARGEST)
  else if Rle_dec exact nearest then Some nearest
  else if Req_EM_T nearest LARGEST then None
  else Some (succ radix2 float64_exponents nearest).

(** [round_down]; None is minus infinity. *)
Definition round_down (exact : R) : option R := option_map Ropp (round_up (- exact)).

(** * What it means *)

Definition is_float64 (x : R) : Prop := is_float64_unbounded x /\ - LARGEST <= x <= LARGEST.

(** * Proofs *)

Local Instance exponents_are_valid : Valid_exp float64_exponents.
Proof. apply FLT_exp_valid; reflexivity. Qed.

Local Instance precision_is_positive : Prec_gt_0 53.
Proof. reflexivity. Qed.

Lemma largest_is_float : is_float64_unbounded LARGEST.
Proof.
  apply generic_format_FLT; exists (Float radix2 (2 ^ 53 - 1) 971);
    [reflexivity | reflexivity | discriminate].
Qed.

Lemma largest_is_positive : 0 < LARGEST.
Proof. apply F2R_gt_0; reflexivity. Qed.

Lemma nearest_is_float (exact : R) : is_float64_unbounded (nearest exact).
Proof. apply generic_format_round; auto with typeclass_instances. Qed.

Lemma floats_below_nearest (exact x : R) : is_float64_unbounded x -> exact <= x -> nearest exact <= x.
Proof. intros float le. apply round_le_generic; auto with typeclass_instances. Qed.

Lemma floats_above_nearest (exact x : R) : is_float64_unbounded x -> x <= exact -> x <= nearest exact.
Proof. intros float le. apply round_ge_generic; auto with typeclass_instances. Qed.

(** Between a number that is not a float and its nearest below there is no float. *)
Lemma next_is_above (exact : R) :
  nearest exact < exact -> exact < succ radix2 float64_exponents (nearest exact).
Proof.
  intros below. destruct (Rlt_or_le exact (succ radix2 float64_exponents (nearest exact))) as [|above]; auto.
  pose proof (succ_gt_id radix2 float64_exponents (nearest exact)) as grows.
  pose proof (generic_format_succ radix2 float64_exponents (nearest exact) (nearest_is_float exact)) as float.
  pose proof (floats_above_nearest exact _ float above).
  destruct (Req_dec (nearest exact) 0) as [zero|some].
  - rewrite zero, succ_0 in *.
    assert (0 < ulp radix2 float64_exponents 0).
    { unfold float64_exponents; rewrite (ulp_FLT_0 radix2 FLOAT64_lsb 53). apply bpow_gt_0. }
    lra.
  - specialize (grows some); lra.
Qed.

Theorem rounded_up_is_the_smallest_float_not_below (exact : R) :
  match round_up exact with
  | Some up => exact <= up /\ is_float64 up /\ (forall x, is_float64 x -> exact <= x -> up <= x)
  | None => forall x, is_float64 x -> x < exact
  end.
Proof.
  pose proof largest_is_float as float; pose proof largest_is_positive as positive.
  assert (float_below : is_float64_unbounded (- LARGEST)) by now apply generic_format_opp.
  unfold round_up.
  destruct (Rlt_dec LARGEST (nearest exact)) as [over|not_over].
  { intros x [float_x range]. apply Rnot_le_lt; intros le.
    pose proof (floats_below_nearest exact x float_x le). lra. }
  destruct (Rlt_dec (nearest exact) (- LARGEST)) as [under|not_under].
  { repeat split; auto; try lra.
    - apply Rnot_lt_le; intros lt.
      pose proof (floats_above_nearest exact (- LARGEST) float_below ltac:(lra)). lra.
    - intros x [_ range] _; lra. }
  destruct (Rle_dec exact (nearest exact)) as [above|below].
  { repeat split; auto using nearest_is_float; try lra.
    intros x [float_x _] le; now apply floats_below_nearest. }
  apply Rnot_le_lt in below. pose proof (next_is_above exact below) as next.
  assert (smallest : forall x, is_float64_unbounded x -> exact <= x ->
            succ radix2 float64_exponents (nearest exact) <= x).
  { intros x float_x le.
    apply succ_le_lt; [typeclasses eauto | apply nearest_is_float | exact float_x | lra]. }
  destruct (Req_EM_T (nearest exact) LARGEST) as [at_end|inside].
  { intros x [_ range]; lra. }
  repeat split; auto; try lra.
  - apply generic_format_succ; [typeclasses eauto | apply nearest_is_float].
  - apply succ_le_lt; [typeclasses eauto | apply nearest_is_float | exact float | lra].
  - intros x [float_x _]; auto.
Qed.

Theorem rounded_down_is_the_largest_float_not_above (exact : R) :
  match round_down exact with
  | Some down => down <= exact /\ is_float64 down /\ (forall x, is_float64 x -> x <= exact -> x <= down)
  | None => forall x, is_float64 x -> exact < x
  end.
Proof.
  assert (opposite : forall x, is_float64 x -> is_float64 (- x)).
  { intros x [float range]; split; [now apply generic_format_opp | lra]. }
  pose proof (rounded_up_is_the_smallest_float_not_below (- exact)) as up.
  unfold round_down; destruct (round_up (- exact)) as [value|]; simpl.
  - destruct up as (above & float & smallest); split; [lra|]; split; auto.
    intros x float_x le; pose proof (smallest (- x) (opposite _ float_x)); lra.
  - intros x float_x; pose proof (up (- x) (opposite _ float_x)); lra.
Qed.

(** The interval that is answered holds what the exact one held; infinite ends hold everything. *)
Theorem an_interval_rounded_outwards_holds_what_it_held (lower upper truth : R) :
  lower <= truth <= upper ->
  match round_down lower with Some down => down <= truth | None => True end /\
  match round_up upper with Some up => truth <= up | None => True end.
Proof.
  intros inside.
  pose proof (rounded_up_is_the_smallest_float_not_below upper).
  pose proof (rounded_down_is_the_largest_float_not_above lower).
  destruct (round_down lower), (round_up upper); split; auto; lra.
Qed.
