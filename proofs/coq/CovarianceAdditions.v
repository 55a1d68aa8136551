(** The upper end of a covariance where nothing is taken away: [_with_additions] of
    convergence_jax/partition/answers/covariance_interval.py, by Dinkelbach's method.

    Coordinates are [n] times the distance from the visible means, x from [a] to [b] and y from [c] to [d].
    Whatever function rounds each step, if the loop ends, what it gives is proved to be no less than the
    quotient of any numbers [i] and [j] of points at (b, d) and (a, c), up to a quarter of the area. That it
    ends is not proved: the code's loop has no number of steps, this one has. *)
From Coq Require Import ZArith QArith Qminmax Lqa.
Open Scope Q_scope.
Set Default Proof Using "Type".

(** * What the code computes *)

(** [_clip]. *)
Definition clip (value most : Q) : Q := Qmin (Qmax value 0) most.

Section Corners.
Variables n scatter a b c d : Q.

Definition area : Q := (b - a) * (d - c).

(** [quotient]: the covariance with [i] more at (b, d) and [j] more at (a, c). *)
Definition quotient (i j : Q) : Q :=
  (scatter + i * b * d + j * a * c - (i * b + j * a) * (i * d + j * c) / (n + i + j)) / (n + i + j - 1).

Section Additions.
Variable additions : Q.

Definition split : Q := clip ((additions * area + n * (b * d - a * c)) / (2 * area)) additions.

(** The best number at one corner, of which the product is [corner_product]. *)
Definition best_number (t corner_product : Q) : Q :=
  clip ((n * (corner_product - t) + (scatter - t * (n - 1))) / (2 * t)) additions.

Definition first_best : Q :=
  Qmax (Qmax (quotient 0 0) (quotient split (additions - split)))
       (Qmax (quotient additions 0) (quotient 0 additions)).

Variable rounded : Q -> Q.

(** [_with_additions], in at most so many steps. *)
Fixpoint with_additions (steps : nat) (best : Q) : option Q :=
  match steps with
  | O => None
  | S steps =>
      let t := rounded best in
      let found :=
        if Qlt_le_dec 0 t
        then Qmax best (Qmax (quotient (best_number t (b * d)) 0) (quotient 0 (best_number t (a * c))))
        else best in
      if Qlt_le_dec t found then with_additions steps found else Some t
  end.

(** * Quadratic functions *)

Lemma a_square_is_not_negative (value : Q) : 0 <= value * value.
Proof. nra. Qed.

Lemma a_concave_one_is_largest_where_clipped (curve slope x : Q) :
  0 < curve -> 0 <= additions -> 0 <= x <= additions ->
  let v := clip (slope / (2 * curve)) additions in
  0 <= v <= additions /\ - curve * x * x + slope * x <= - curve * v * v + slope * v.
Proof.
  intros positive some range; cbv zeta.
  set (top := slope / (2 * curve)).
  assert (equal : slope == 2 * curve * top) by (unfold top; field; lra).
  assert (product : forall y, slope * y == 2 * curve * top * y) by (intros; rewrite equal; reflexivity).
  clearbody top; unfold clip; pose proof (product x).
  destruct (Q.max_spec top 0) as [[under ->]|[above ->]].
  - rewrite (Q.min_l 0 additions) by auto; split; [lra|].
    assert (0 <= curve * (x * (x - 2 * top)))
      by (apply Qmult_le_0_compat; [lra | apply Qmult_le_0_compat; lra]).
    lra.
  - destruct (Q.min_spec top additions) as [[under ->]|[over ->]]; split; try lra.
    + assert (0 <= curve * ((x - top) * (x - top)))
        by (apply Qmult_le_0_compat; [lra | apply a_square_is_not_negative]).
      pose proof (product top); lra.
    + assert (0 <= curve * ((additions - x) * (2 * top - x - additions)))
        by (apply Qmult_le_0_compat; [lra | apply Qmult_le_0_compat; lra]).
      pose proof (product additions); lra.
Qed.

(** By how much the comoment of so many at the corners exceeds what a covariance of [t] would make it. *)
Definition excess (t i j : Q) : Q :=
  (n + i + j) * (scatter + i * (b * d) + j * (a * c)) - (i * b + j * a) * (i * d + j * c)
  - t * ((n + i + j) * (n + i + j - 1)).

Hypothesis two_are_visible : 2 <= n.
Hypothesis some_may_be_added : 0 <= additions.

Lemma no_excess (t i j : Q) : 0 <= i -> 0 <= j -> quotient i j <= t -> excess t i j <= 0.
Proof using two_are_visible.
  intros some some_too below; unfold excess.
  assert (equal : (n + i + j) * (scatter + i * (b * d) + j * (a * c)) - (i * b + j * a) * (i * d + j * c)
                  == quotient i j * ((n + i + j) * (n + i + j - 1))).
  { unfold quotient; field; split; lra. }
  rewrite equal.
  assert (0 <= (n + i + j) * (n + i + j - 1)) by (apply Qmult_le_0_compat; lra).
  pose proof (Qmult_le_compat_r _ _ _ below H). lra.
Qed.

Lemma no_excess_on_the_long_edge (t i : Q) :
  0 < area -> 0 <= i <= additions -> quotient split (additions - split) <= t ->
  excess t i (additions - i) <= 0.
Proof using two_are_visible some_may_be_added.
  intros wide range below.
  destruct (a_concave_one_is_largest_where_clipped area (additions * area + n * (b * d - a * c)) i wide
              some_may_be_added range) as [inside most].
  fold split in inside, most.
  pose proof (no_excess t split (additions - split) ltac:(lra) ltac:(lra) below) as none.
  assert (form : forall x, excess t x (additions - x) ==
                           excess t 0 additions
                           + (- area * x * x + (additions * area + n * (b * d - a * c)) * x)).
  { intros x; unfold excess, area; ring. }
  pose proof (form i); pose proof (form split). lra.
Qed.

Lemma no_excess_on_a_short_edge (t corner_product : Q) (edge : Q -> Q) :
  (forall x, edge x == n * scatter + x * (scatter + n * corner_product) - t * ((n + x) * (n + x - 1))) ->
  edge 0 <= 0 -> edge additions <= 0 ->
  (0 < t -> edge (best_number t corner_product) <= 0) ->
  forall x, 0 <= x <= additions -> edge x <= 0.
Proof using some_may_be_added.
  intros form at_none at_most at_best x range.
  set (slope := n * (corner_product - t) + (scatter - t * (n - 1))).
  assert (form_too : forall x, edge x == edge 0 + (- t * x * x + slope * x)).
  { intros y; rewrite !form; unfold slope; ring. }
  destruct (Qlt_le_dec 0 t) as [positive|negative].
  - destruct (a_concave_one_is_largest_where_clipped t slope x positive some_may_be_added range) as [_ most].
    change (clip (slope / (2 * t)) additions) with (best_number t corner_product) in most.
    specialize (at_best positive).
    pose proof (form_too x); pose proof (form_too (best_number t corner_product)). lra.
  - pose proof (form_too x); pose proof (form_too additions).
    assert (convex : - t * x * x <= - t * additions * x).
    { assert (0 <= - t * (x * (additions - x))) by (apply Qmult_le_0_compat; nra). lra. }
    assert (0 <= - t * additions * x) by nra.
    destruct (Qlt_le_dec 0 (- t * additions + slope)) as [up|down].
    + assert ((- t * additions + slope) * x <= (- t * additions + slope) * additions) by nra. lra.
    + assert ((- t * additions + slope) * x <= 0) by nra. lra.
Qed.

(** From a point inside, along the diagonal to an edge either way, the excess grows one way or the other. *)
Lemma no_excess_inside (t : Q) :
  4 * t <= area ->
  (forall x, 0 <= x <= additions -> excess t x 0 <= 0) ->
  (forall x, 0 <= x <= additions -> excess t 0 x <= 0) ->
  (forall x, 0 <= x <= additions -> excess t x (additions - x) <= 0) ->
  forall i j, 0 <= i -> 0 <= j -> i + j <= additions -> excess t i j <= 0.
Proof.
  intros small along_x along_y along_both i j some some_too few.
  set (slope := excess t (i + 1) (j + 1) - excess t i j - (area - 4 * t)).
  assert (form : forall s, excess t (i + s) (j + s) == excess t i j + slope * s + (area - 4 * t) * s * s).
  { intros s; unfold slope, excess, area; ring. }
  assert (far : excess t (i + (additions - i - j) * (1 # 2)) (j + (additions - i - j) * (1 # 2)) <= 0).
  { set (x := i + (additions - i - j) * (1 # 2)).
    assert (0 <= x <= additions) by (unfold x; lra).
    assert (same : excess t x (j + (additions - i - j) * (1 # 2)) == excess t x (additions - x)).
    { unfold excess, x; ring. }
    rewrite same; auto. }
  assert (near : exists s, s <= 0 /\ excess t (i + s) (j + s) <= 0).
  { destruct (Qlt_le_dec i j).
    - exists (- i); split; [lra|].
      assert (same : excess t (i + - i) (j + - i) == excess t 0 (j - i)) by (unfold excess; ring).
      rewrite same; apply along_y; lra.
    - exists (- j); split; [lra|].
      assert (same : excess t (i + - j) (j + - j) == excess t (i - j) 0) by (unfold excess; ring).
      rewrite same; apply along_x; lra. }
  destruct near as (s & s_low & near); set (u := (additions - i - j) * (1 # 2)) in *.
  assert (0 <= u) by (unfold u; lra).
  pose proof (form s) as near_form; pose proof (form u) as far_form.
  set (here := excess t (i + s) (j + s)) in *; set (there := excess t (i + u) (j + u)) in *.
  clearbody slope u here there. set (value := excess t i j) in *; clearbody value.
  set (bend := area - 4 * t) in *; assert (0 <= bend) by (unfold bend; lra); clearbody bend.
  apply Qnot_lt_le; intros positive.
  assert (0 <= bend * s * s) by nra. assert (0 <= bend * u * u) by nra.
  assert (slope * s < 0) by lra. assert (slope * u < 0) by lra.
  destruct (Qlt_le_dec 0 slope).
  - assert (0 <= slope * u) by (apply Qmult_le_0_compat; lra). lra.
  - assert (0 <= - slope * - s) by (apply Qmult_le_0_compat; lra). lra.
Qed.

Lemma steps_only_grow (steps : nat) (best t : Q) : with_additions steps best = Some t ->
  best <= t /\ (0 < t -> quotient (best_number t (b * d)) 0 <= t /\ quotient 0 (best_number t (a * c)) <= t).
Proof.
  revert best; induction steps as [|steps IH]; simpl; intros best; [discriminate|].
  destruct (Qlt_le_dec 0 (rounded best)) as [positive|negative].
  - set (found := Qmax best _).
    assert (most : best <= found /\ quotient (best_number (rounded best) (b * d)) 0 <= found /\
                   quotient 0 (best_number (rounded best) (a * c)) <= found).
    { unfold found; repeat split.
      - apply Q.le_max_l.
      - eapply Qle_trans; [apply Q.le_max_l | apply Q.le_max_r].
      - eapply Qle_trans; [apply Q.le_max_r | apply Q.le_max_r]. }
    clearbody found; destruct (Qlt_le_dec (rounded best) found) as [on|stop].
    + intros result; destruct (IH found result); split; auto; lra.
    + intros result; injection result as <-; repeat split; try lra.
  - destruct (Qlt_le_dec (rounded best) best) as [on|stop]; [apply IH|].
    intros result; injection result as <-; split; [lra | intros; lra].
Qed.

Lemma no_excess_of_the_visible (steps : nat) (t : Q) :
  with_additions steps first_best = Some t -> excess t 0 0 <= 0.
Proof using two_are_visible.
  intros result; destruct (steps_only_grow _ _ _ result) as [least _].
  apply no_excess; try lra; eapply Qle_trans, least; unfold first_best.
  eapply Qle_trans; [apply Q.le_max_l | apply Q.le_max_l].
Qed.

Theorem no_excess_where_the_loop_ends (steps : nat) (t i j : Q) :
  0 < area -> 4 * t <= area -> with_additions steps first_best = Some t ->
  0 <= i -> 0 <= j -> i + j <= additions -> excess t i j <= 0.
Proof using two_are_visible some_may_be_added.
  intros wide small result; destruct (steps_only_grow _ _ _ result) as [least best].
  assert (fixed : quotient 0 0 <= t /\ quotient split (additions - split) <= t /\
                  quotient additions 0 <= t /\ quotient 0 additions <= t).
  { unfold first_best in least; repeat split; (eapply Qle_trans; [|exact least]).
    - eapply Qle_trans; [apply Q.le_max_l | apply Q.le_max_l].
    - eapply Qle_trans; [apply Q.le_max_r | apply Q.le_max_l].
    - eapply Qle_trans; [apply Q.le_max_l | apply Q.le_max_r].
    - eapply Qle_trans; [apply Q.le_max_r | apply Q.le_max_r]. }
  destruct fixed as (none & long & one_corner & other_corner).
  assert (inside : forall corner_product, 0 < t -> 0 <= best_number t corner_product).
  { intros corner_product positive.
    destruct (a_concave_one_is_largest_where_clipped t (n * (corner_product - t) + (scatter - t * (n - 1))) 0
                positive some_may_be_added ltac:(lra)) as [range _]. apply range. }
  apply no_excess_inside; auto.
  - apply (no_excess_on_a_short_edge t (b * d) (fun x => excess t x 0)).
    + intros x; unfold excess; ring.
    + apply no_excess; auto; lra.
    + apply no_excess; auto; lra.
    + intros positive; apply no_excess; auto; [lra | apply best, positive].
  - apply (no_excess_on_a_short_edge t (a * c) (fun x => excess t 0 x)).
    + intros x; unfold excess; ring.
    + apply no_excess; auto; lra.
    + apply no_excess; auto; lra.
    + intros positive; apply no_excess; auto; [lra | apply best, positive].
  - intros x range; apply no_excess_on_the_long_edge; auto.
Qed.

End Additions.
End Corners.
