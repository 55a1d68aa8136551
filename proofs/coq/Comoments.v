(** Sums of products about the means: what a covariance is made of, for the intervals of
    convergence_jax/partition/answers/covariance_interval.py.

    The comoment of N points is N times their sum of products less the product of their sums: N (N - 1) times
    their sample covariance, so that everything stays an integer.

    Proved: it does not depend on the order or the origin; it is at most floor(N / 2) ceil(N / 2) of the area
    that the points lie in (Popoviciu, 1935, for variances), of which the share in N (N - 1) does not grow
    with N; and points added to centred ones make it largest when each is at one of two opposite corners. *)
From Coq Require Import ZArith List Permutation Lia.
Import ListNotations.
Open Scope Z_scope.
Set Default Proof Using "Type".

Definition point : Type := Z * Z.

Fixpoint sum_of (part : point -> Z) (points : list point) : Z :=
  match points with [] => 0 | first :: rest => part first + sum_of part rest end.

Definition number (points : list point) : Z := Z.of_nat (length points).
Definition product (one : point) : Z := fst one * snd one.

Definition comoment (points : list point) : Z :=
  number points * sum_of product points - sum_of fst points * sum_of snd points.

(** All in a box. *)
Definition inside (a b c d : Z) (one : point) : Prop := a <= fst one <= b /\ c <= snd one <= d.

Lemma sum_of_both (part : point -> Z) (some others : list point) :
  sum_of part (some ++ others) = sum_of part some + sum_of part others.
Proof. induction some; simpl; lia. Qed.

Lemma sum_of_permuted (part : point -> Z) (some others : list point) :
  Permutation some others -> sum_of part some = sum_of part others.
Proof. induction 1; simpl; lia. Qed.

Lemma number_of_both (some others : list point) : number (some ++ others) = number some + number others.
Proof. unfold number; rewrite app_length; lia. Qed.

Lemma number_of_permuted (some others : list point) : Permutation some others -> number some = number others.
Proof. unfold number; intros same; now rewrite (Permutation_length same). Qed.

Lemma number_is_not_negative (points : list point) : 0 <= number points.
Proof. unfold number; lia. Qed.

Lemma number_of_one_more (first : point) (rest : list point) : number (first :: rest) = 1 + number rest.
Proof. unfold number; cbn [length]; lia. Qed.

Theorem comoment_does_not_depend_on_the_order (some others : list point) :
  Permutation some others -> comoment some = comoment others.
Proof.
  intros same; unfold comoment.
  now rewrite (number_of_permuted _ _ same), !(sum_of_permuted _ _ _ same).
Qed.

(** * Another origin and unit *)

Definition moved (scale x y : Z) (one : point) : point := (scale * fst one - x, scale * snd one - y).

Lemma sums_of_moved (scale x y : Z) (points : list point) :
  number (map (moved scale x y) points) = number points /\
  sum_of fst (map (moved scale x y) points) = scale * sum_of fst points - number points * x /\
  sum_of snd (map (moved scale x y) points) = scale * sum_of snd points - number points * y /\
  sum_of product (map (moved scale x y) points) =
    scale * scale * sum_of product points - scale * y * sum_of fst points - scale * x * sum_of snd points
    + number points * x * y.
Proof.
  unfold number; rewrite map_length; split; auto.
  induction points as [|first rest (IH1 & IH2 & IH3)]; [simpl; lia|].
  cbn [map sum_of length]; rewrite Nat2Z.inj_succ, IH1, IH2, IH3.
  unfold product, moved; cbn [fst snd]. repeat split; ring.
Qed.

Theorem comoment_of_moved (scale x y : Z) (points : list point) :
  comoment (map (moved scale x y) points) = scale * scale * comoment points.
Proof.
  unfold comoment; destruct (sums_of_moved scale x y points) as (-> & -> & -> & ->). ring.
Qed.

(** * The largest that a box allows *)

Lemma halves_make_the_largest_product (one two all : Z) :
  0 <= one -> 0 <= two -> one + two <= all -> one * two <= (all / 2) * ((all + 1) / 2).
Proof.
  intros some some_too few.
  pose proof (Z.div_mod all 2 ltac:(lia)); pose proof (Z.mod_pos_bound all 2 ltac:(lia)).
  pose proof (Z.div_mod (all + 1) 2 ltac:(lia)); pose proof (Z.mod_pos_bound (all + 1) 2 ltac:(lia)).
  set (half := all / 2) in *; set (other := (all + 1) / 2) in *.
  assert (half + other = all) by lia. assert (half <= other <= half + 1) by lia.
  destruct (Z.le_gt_cases one half); nia.
Qed.

Lemma at_corners (width height high_high high_low low_high low_low : Z) (points : list point) :
  0 <= high_high -> 0 <= high_low -> 0 <= low_high -> 0 <= low_low -> 0 <= width -> 0 <= height ->
  Forall (inside 0 width 0 height) points ->
  let all := high_high + high_low + low_high + low_low + number points in
  all * (high_high * (width * height) + sum_of product points)
  - ((high_high + high_low) * width + sum_of fst points)
    * ((high_high + low_high) * height + sum_of snd points)
  <= (all / 2) * ((all + 1) / 2) * (width * height).
Proof.
  intros hh hl lh ll wide tall within; cbv zeta.
  revert high_high high_low low_high low_low hh hl lh ll;
    induction within as [|[x y] points [x_in y_in] within IH]; intros.
  - simpl sum_of; unfold number; simpl length; rewrite !Z.add_0_r.
    set (all := high_high + high_low + low_high + low_low).
    pose proof (halves_make_the_largest_product high_high low_low all) as most.
    specialize (most ltac:(lia) ltac:(lia) ltac:(lia)).
    assert (0 <= width * height) by nia. assert (0 <= high_low * low_high) by nia.
    transitivity ((high_high * low_low) * (width * height)); [|nia].
    transitivity ((high_high * low_low - high_low * low_high) * (width * height)); [|nia].
    unfold all; apply Z.eq_le_incl; ring.
  - rewrite number_of_one_more; cbn [sum_of fst snd] in *; unfold product at 1; cbn [fst snd].
    pose proof (IH (high_high + 1) high_low low_high low_low) as one.
    pose proof (IH high_high (high_low + 1) low_high low_low) as two.
    pose proof (IH high_high high_low (low_high + 1) low_low) as three.
    pose proof (IH high_high high_low low_high (low_low + 1)) as four.
    specialize (one ltac:(lia) ltac:(lia) ltac:(lia) ltac:(lia)).
    specialize (two ltac:(lia) ltac:(lia) ltac:(lia) ltac:(lia)).
    specialize (three ltac:(lia) ltac:(lia) ltac:(lia) ltac:(lia)).
    specialize (four ltac:(lia) ltac:(lia) ltac:(lia) ltac:(lia)).
    set (all := high_high + high_low + low_high + low_low + (1 + number points)) in *.
    replace (high_high + 1 + high_low + low_high + low_low + number points)
      with all in one by (unfold all; lia).
    replace (high_high + (high_low + 1) + low_high + low_low + number points)
      with all in two by (unfold all; lia).
    replace (high_high + high_low + (low_high + 1) + low_low + number points)
      with all in three by (unfold all; lia).
    replace (high_high + high_low + low_high + (low_low + 1) + number points)
      with all in four by (unfold all; lia).
    set (most := all / 2 * ((all + 1) / 2) * (width * height)) in *.
    set (xs := (high_high + high_low) * width + sum_of fst points) in *.
    set (ys := (high_high + low_high) * height + sum_of snd points) in *.
    set (xys := high_high * (width * height) + sum_of product points) in *.
    assert (one_ : all * (xys + width * height) - (xs + width) * (ys + height) <= most)
      by (unfold xys, xs, ys; lia).
    assert (two_ : all * xys - (xs + width) * ys <= most) by (unfold xys, xs, ys; lia).
    assert (three_ : all * xys - xs * (ys + height) <= most) by (unfold xys, xs, ys; lia).
    assert (four_ : all * xys - xs * ys <= most) by (unfold xys, xs, ys; lia).
    replace (all * (high_high * (width * height) + (x * y + sum_of product points)))
      with (all * (xys + x * y)) by (unfold xys; ring).
    replace ((high_high + high_low) * width + (x + sum_of fst points)) with (xs + x) by (unfold xs; ring).
    replace ((high_high + low_high) * height + (y + sum_of snd points)) with (ys + y) by (unfold ys; ring).
    clearbody all most xs ys xys; clear one two three four IH.
    (* Linear in [y], at either end of [x]. *)
    assert (at_low : all * xys - xs * (ys + y) <= most).
    { destruct (Z.le_gt_cases 0 xs); nia. }
    assert (at_high : all * (xys + width * y) - (xs + width) * (ys + y) <= most).
    { destruct (Z.le_gt_cases 0 (all * width - (xs + width))); nia. }
    destruct (Z.le_gt_cases 0 (all * y - (ys + y))); nia.
Qed.

(** A count of points makes it at most so much of the area. *)
Theorem comoment_is_at_most_that_of_halves (a b c d : Z) (points : list point) :
  a <= b -> c <= d -> Forall (inside a b c d) points ->
  comoment points <= (number points / 2) * ((number points + 1) / 2) * ((b - a) * (d - c)).
Proof.
  intros wide tall within.
  pose proof (comoment_of_moved 1 a c points) as moves.
  assert (within_too : Forall (inside 0 (b - a) 0 (d - c)) (map (moved 1 a c) points)).
  { rewrite Forall_map; eapply Forall_impl, within; unfold inside, moved; cbn [fst snd]; intros; lia. }
  pose proof (at_corners (b - a) (d - c) 0 0 0 0 _ ltac:(lia) ltac:(lia) ltac:(lia) ltac:(lia) ltac:(lia)
                ltac:(lia) within_too) as most; cbv zeta in most.
  unfold comoment in moves at 1.
  destruct (sums_of_moved 1 a c points) as (size & _); rewrite size in *.
  rewrite !Z.add_0_l, ?Z.mul_0_l, ?Z.add_0_l in most. lia.
Qed.

(** Of more points the share is not larger. *)
Theorem share_of_halves_does_not_grow (few many : Z) :
  2 <= few <= many ->
  (many / 2) * ((many + 1) / 2) * (few * (few - 1)) <= (few / 2) * ((few + 1) / 2) * (many * (many - 1)).
Proof.
  intros range.
  assert (share : forall n, 2 <= n -> exists half, 1 <= half /\ (n = 2 * half \/ n = 2 * half - 1) /\
            (n / 2) * ((n + 1) / 2) * (2 * (2 * half - 1)) = half * (n * (n - 1)) /\ half = (n + 1) / 2).
  { intros n size; exists ((n + 1) / 2).
    pose proof (Z.div_mod n 2 ltac:(lia)); pose proof (Z.mod_pos_bound n 2 ltac:(lia)).
    pose proof (Z.div_mod (n + 1) 2 ltac:(lia)); pose proof (Z.mod_pos_bound (n + 1) 2 ltac:(lia)).
    set (half := n / 2) in *; set (other := (n + 1) / 2) in *.
    assert (cases : (n = 2 * other /\ half = other) \/ (n = 2 * other - 1 /\ half = other - 1)) by lia.
    destruct cases as [[equal ->]|[equal ->]]; repeat split; try lia; rewrite equal; ring. }
  destruct (share few ltac:(lia)) as (one & one_size & _ & one_share & one_is).
  destruct (share many ltac:(lia)) as (two & two_size & _ & two_share & two_is).
  assert (one <= two) by (subst; apply Z.div_le_mono; lia).
  set (first := few / 2 * ((few + 1) / 2)) in *; set (second := many / 2 * ((many + 1) / 2)) in *.
  set (pairs := few * (few - 1)) in *; set (more := many * (many - 1)) in *.
  assert (0 < pairs /\ 0 < more) by (unfold pairs, more; nia).
  clearbody first second pairs more.
  (* first / pairs = one / (2 (2 one - 1)), and the same of the second; that falls. *)
  assert (falls : two * (2 * one - 1) <= one * (2 * two - 1)) by lia.
  apply (Z.mul_le_mono_pos_r _ _ (2 * (2 * one - 1) * (2 * (2 * two - 1)))); [nia|].
  replace (second * pairs * (2 * (2 * one - 1) * (2 * (2 * two - 1))))
    with (second * (2 * (2 * two - 1)) * pairs * (2 * (2 * one - 1))) by ring.
  replace (first * more * (2 * (2 * one - 1) * (2 * (2 * two - 1))))
    with (first * (2 * (2 * one - 1)) * more * (2 * (2 * two - 1))) by ring.
  rewrite one_share, two_share.
  replace (two * more * pairs * (2 * (2 * one - 1)))
    with (2 * (pairs * more) * (two * (2 * one - 1))) by ring.
  replace (one * pairs * more * (2 * (2 * two - 1)))
    with (2 * (pairs * more) * (one * (2 * two - 1))) by ring.
  apply Z.mul_le_mono_nonneg_l; nia.
Qed.

(** * Points added to centred ones *)

Lemma sums_are_inside (a b c d : Z) (points : list point) :
  Forall (inside a b c d) points ->
  number points * a <= sum_of fst points <= number points * b /\
  number points * c <= sum_of snd points <= number points * d.
Proof.
  induction 1 as [|[x y] points [x_in y_in] within IH]; [simpl; lia|].
  rewrite number_of_one_more; cbn [sum_of fst snd] in *; lia.
Qed.

(** What [n] centred points with that sum of products and [i] at (b, d), [j] at (a, c) have. *)
Definition of_corners (n scatter a b c d i j : Z) : Z :=
  (n + i + j) * (scatter + i * (b * d) + j * (a * c)) - (i * b + j * a) * (i * d + j * c).

Lemma added_at_opposite_corners (n scatter a b c d : Z) (added : list point) :
  0 <= n -> a <= 0 <= b -> c <= 0 <= d -> Forall (inside a b c d) added ->
  forall i j, 0 <= i -> 0 <= j ->
  exists more_i more_j, 0 <= more_i /\ 0 <= more_j /\ more_i + more_j = i + j + number added /\
    (n + i + j + number added) * (scatter + i * (b * d) + j * (a * c) + sum_of product added)
    - (i * b + j * a + sum_of fst added) * (i * d + j * c + sum_of snd added)
    <= of_corners n scatter a b c d more_i more_j.
Proof.
  intros size x_box y_box; induction 1 as [|[x y] added [x_in y_in] within IH]; intros i j some some_too.
  - exists i, j; unfold number, of_corners; simpl; repeat split; auto; lia.
  - destruct (sums_are_inside _ _ _ _ _ within) as [xs_in ys_in].
    pose proof (number_is_not_negative added) as length_.
    rewrite number_of_one_more; cbn [sum_of fst snd] in *; unfold product at 1; cbn [fst snd].
    set (xs := i * b + j * a + sum_of fst added) in *; set (ys := i * d + j * c + sum_of snd added) in *.
    set (xys := scatter + i * (b * d) + j * (a * c) + sum_of product added) in *.
    set (all := n + i + j + number added + 1) in *.
    assert (xs_high : xs <= (all - 1) * b) by (unfold xs, all; nia).
    assert (xs_low : (all - 1) * a <= xs) by (unfold xs, all; nia).
    assert (choice : all * (xys + x * y) - (xs + x) * (ys + y) <= all * (xys + b * d) - (xs + b) * (ys + d) \/
                     all * (xys + x * y) - (xs + x) * (ys + y) <= all * (xys + a * c) - (xs + a) * (ys + c)).
    { assert (from_high : all * (xys + b * y) - (xs + b) * (ys + y)
                          <= all * (xys + b * d) - (xs + b) * (ys + d)).
      { assert (0 <= (all * b - (xs + b)) * (d - y)) by (apply Z.mul_nonneg_nonneg; lia). lia. }
      assert (from_low : all * (xys + a * y) - (xs + a) * (ys + y)
                         <= all * (xys + a * c) - (xs + a) * (ys + c)).
      { assert (0 <= ((xs + a) - all * a) * (y - c)) by (apply Z.mul_nonneg_nonneg; lia). lia. }
      destruct (Z.le_gt_cases 0 (all * y - (ys + y))).
      - left. assert (0 <= (all * y - (ys + y)) * (b - x)) by (apply Z.mul_nonneg_nonneg; lia). lia.
      - right. assert (0 <= ((ys + y) - all * y) * (x - a)) by (apply Z.mul_nonneg_nonneg; lia). lia. }
    destruct choice as [high|low].
    + destruct (IH (i + 1) j ltac:(lia) ltac:(lia)) as (more_i & more_j & ? & ? & ? & most).
      exists more_i, more_j; repeat split; auto; [lia|].
      eapply Z.le_trans; [|exact most].
      eapply Z.le_trans; [|eapply Z.le_trans; [exact high|]].
      all: apply Z.eq_le_incl; unfold all, xs, ys, xys; ring.
    + destruct (IH i (j + 1) ltac:(lia) ltac:(lia)) as (more_i & more_j & ? & ? & ? & most).
      exists more_i, more_j; repeat split; auto; [lia|].
      eapply Z.le_trans; [|exact most].
      eapply Z.le_trans; [|eapply Z.le_trans; [exact low|]].
      all: apply Z.eq_le_incl; unfold all, xs, ys, xys; ring.
Qed.

Theorem comoment_is_largest_at_opposite_corners (a b c d : Z) (visible added : list point) :
  a <= 0 <= b -> c <= 0 <= d -> Forall (inside a b c d) added ->
  sum_of fst visible = 0 -> sum_of snd visible = 0 ->
  exists i j, 0 <= i /\ 0 <= j /\ i + j = number added /\
    comoment (visible ++ added) <= of_corners (number visible) (sum_of product visible) a b c d i j.
Proof.
  intros x_box y_box within x_centred y_centred.
  destruct (added_at_opposite_corners (number visible) (sum_of product visible) a b c d added
              (number_is_not_negative _) x_box y_box within 0 0 ltac:(lia) ltac:(lia))
    as (i & j & ? & ? & equal & most).
  exists i, j; repeat split; auto; try lia.
  unfold comoment; rewrite number_of_both, !sum_of_both, x_centred, y_centred.
  eapply Z.le_trans, most. apply Z.eq_le_incl; ring.
Qed.
