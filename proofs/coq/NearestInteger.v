(** Round to nearest, ties to even, computed over the integers.

    Models the rounding that `round` of NumPy and JAX does on an integral float64 quotient (`FixedPoint.lift`
    of convergence_jax/exact/fixed_point.py) and that the last step of `round_ratio` (exact/rounding.py) does.
    Proves that it is Flocq's [ZnearestE] of the rational number. *)
From Coq Require Import ZArith Reals Lra Lia.
From Flocq Require Import Core.
Open Scope Z_scope.

(** Nearest integer to [num / den] for a positive denominator. *)
Definition nearest_even (num den : Z) : Z :=
  let floor := num / den in
  let rest := num mod den in
  match 2 * rest ?= den with
  | Lt => floor
  | Eq => if Z.even floor then floor else floor + 1
  | Gt => floor + 1
  end.

Lemma fraction_above_floor (num den : Z) :
  0 < den -> (IZR num / IZR den - IZR (num / den) = IZR (num mod den) / IZR den)%R.
Proof.
  intros Hden.
  assert (IZR den <> 0)%R by (apply IZR_neq; lia).
  rewrite (Z.div_mod num den) at 1 by lia.
  rewrite plus_IZR, mult_IZR. field. assumption.
Qed.

Theorem nearest_even_is_round_to_nearest (num den : Z) :
  0 < den -> ZnearestE (IZR num / IZR den) = nearest_even num den.
Proof.
  intros Hden.
  assert (0 < IZR den)%R as Hreal by (apply IZR_lt; lia).
  unfold Znearest, nearest_even.
  rewrite Zfloor_div by lia. rewrite (fraction_above_floor num den Hden).
  pose proof (Z.mod_pos_bound num den Hden) as Hmod.
  replace (Rcompare (IZR (num mod den) / IZR den) (/ 2)) with (2 * (num mod den) ?= den).
  2: { rewrite <- (Rcompare_mult_r (2 * IZR den)) by lra.
       replace (IZR (num mod den) / IZR den * (2 * IZR den))%R with (IZR (2 * (num mod den)))
         by (rewrite mult_IZR; field; lra).
       replace (/ 2 * (2 * IZR den))%R with (IZR den) by field.
       symmetry. apply Rcompare_IZR. }
  destruct (Z.compare_spec (2 * (num mod den)) den) as [Htie | Hbelow | Habove].
  - rewrite Zceil_floor_neq.
    + rewrite Zfloor_div by lia. destruct (Z.even (num / den)); reflexivity.
    + rewrite Zfloor_div by lia. intros Heq.
      pose proof (fraction_above_floor num den Hden) as Hfraction. rewrite Heq in Hfraction.
      assert (IZR (num mod den) = 0)%R as Hzero.
      { apply (Rmult_eq_reg_r (/ IZR den)); [|apply Rinv_neq_0_compat; lra]. unfold Rdiv in Hfraction. lra. }
      apply eq_IZR in Hzero. lia.
  - reflexivity.
  - rewrite Zceil_floor_neq.
    + rewrite Zfloor_div by lia. reflexivity.
    + rewrite Zfloor_div by lia. intros Heq.
      pose proof (fraction_above_floor num den Hden) as Hfraction. rewrite Heq in Hfraction.
      assert (IZR (num mod den) = 0)%R as Hzero.
      { apply (Rmult_eq_reg_r (/ IZR den)); [|apply Rinv_neq_0_compat; lra]. unfold Rdiv in Hfraction. lra. }
      apply eq_IZR in Hzero. lia.
Qed.

(** An even number of halves: the integers stay where they are. *)
Lemma nearest_even_of_integer (n : Z) : nearest_even n 1 = n.
Proof. unfold nearest_even. rewrite Z.div_1_r, Z.mod_1_r. reflexivity. Qed.

Lemma nearest_of_small (x : R) : (Rabs x < / 2)%R -> ZnearestE x = 0.
Proof. intros H. apply Znearest_imp. now rewrite Rminus_0_r. Qed.

Lemma nearest_is_monotone_in_magnitude (x : R) (n : Z) :
  (Rabs x <= IZR n)%R -> Z.abs (ZnearestE x) <= n.
Proof.
  intros H. apply Rabs_le_inv in H as [Hlow Hhigh].
  assert (ZnearestE x <= ZnearestE (IZR n)) as Habove by (apply Zrnd_le; [apply valid_rnd_N|assumption]).
  assert (ZnearestE (IZR (- n)) <= ZnearestE x) as Hbelow.
  { apply Zrnd_le; [apply valid_rnd_N|]. rewrite opp_IZR. assumption. }
  rewrite Zrnd_IZR in Habove, Hbelow by apply valid_rnd_N. lia.
Qed.
