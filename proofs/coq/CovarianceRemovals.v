(** The upper end of a covariance where some may be taken away: [_with_removals] of
    convergence_jax/partition/answers/covariance_interval.py.

    Coordinates are [n] times the distance from the visible means, x from [a] to [b] and y from [c] to [d].
    Proved: of the visible points no more can lie far to each side than the means allow, so that the products
    of those taken away are bounded; and the largest of four quotients bounds a sum that is linear in how many
    are added and taken away. *)
From Coq Require Import ZArith QArith Qminmax Lqa List Lia.
From Convergence Require Import Comoments.
Import ListNotations.
Set Default Proof Using "Type".

(** * What the code computes *)

Open Scope Q_scope.

Section Corners.
Variables n a b c d : Q.

(** At most [many] with the first product and [few] with the second, the first being the smaller product. *)
Definition take (removals first_product many second_product few : Q) : Q :=
  let first := Qmin many removals in
  let second := Qmin few (removals - first) in
  - (first_product * first) - second_product * second.

(** [taken]: the most that the products of so many taken away are below zero. *)
Definition products_taken (removals : Q) : Q :=
  let falling := Qmin (- n * a / (b - a)) (n * d / (d - c)) in
  let rising := Qmin (n * b / (b - a)) (- n * c / (d - c)) in
  if Qlt_le_dec (a * d) (b * c) then take removals (a * d) rising (b * c) falling
  else take removals (b * c) falling (a * d) rising.

(** [k]: the most that the product of the means is below zero. *)
Definition means_apart (x_low x_high y_low y_high : Q) : Q := Qmax (- x_low * y_high) (- x_high * y_low).

Definition candidate (fixed largest k added lost : Q) : Q :=
  (fixed + added * largest - lost * k) / (n - 1 + added - lost).

(** [_with_removals]. *)
Definition with_removals (scatter x_low x_high y_low y_high additions removals : Q) : Q :=
  let k := means_apart x_low x_high y_low y_high in
  let fixed := scatter + n * k + products_taken removals in
  let largest := Qmax (a * c) (b * d) + k in
  Qmax (Qmax (candidate fixed largest k 0 0) (candidate fixed largest k 0 removals))
       (Qmax (candidate fixed largest k additions 0) (candidate fixed largest k additions removals)).

(** * Proofs over fractions *)

Lemma a_linear_sum_is_below_at_the_corners (fixed largest k t additions removals added lost : Q) :
  0 <= added <= additions -> 0 <= lost <= removals -> removals <= n - 2 ->
  Qmax (Qmax (candidate fixed largest k 0 0) (candidate fixed largest k 0 removals))
       (Qmax (candidate fixed largest k additions 0) (candidate fixed largest k additions removals)) <= t ->
  fixed + added * largest - lost * k <= t * (n - 1 + added - lost).
Proof.
  intros added_range lost_range enough below.
  assert (corner : forall more gone, 0 <= more -> 0 <= gone <= removals ->
            candidate fixed largest k more gone <= t ->
            fixed + more * largest - gone * k <= t * (n - 1 + more - gone)).
  { intros more gone some range le.
    assert (equal : fixed + more * largest - gone * k
                    == candidate fixed largest k more gone * (n - 1 + more - gone)).
    { unfold candidate; field; lra. }
    assert (positive : 0 <= n - 1 + more - gone) by lra.
    pose proof (Qmult_le_compat_r _ _ _ le positive). lra. }
  assert (one : candidate fixed largest k 0 0 <= t).
  { eapply Qle_trans, below; eapply Qle_trans; [apply Q.le_max_l | apply Q.le_max_l]. }
  assert (two : candidate fixed largest k 0 removals <= t).
  { eapply Qle_trans, below; eapply Qle_trans; [apply Q.le_max_r | apply Q.le_max_l]. }
  assert (three : candidate fixed largest k additions 0 <= t).
  { eapply Qle_trans, below; eapply Qle_trans; [apply Q.le_max_l | apply Q.le_max_r]. }
  assert (four : candidate fixed largest k additions removals <= t).
  { eapply Qle_trans, below; eapply Qle_trans; [apply Q.le_max_r | apply Q.le_max_r]. }
  apply corner in one, two, three, four; try lra.
  set (up := largest - t); set (down := t - k).
  set (base := fixed - t * (n - 1)).
  assert (base <= 0) by (unfold base; lra).
  assert (base + removals * down <= 0) by (unfold base, down; lra).
  assert (base + additions * up <= 0) by (unfold base, up; lra).
  assert (base + additions * up + removals * down <= 0) by (unfold base, up, down; lra).
  enough (base + added * up + lost * down <= 0) by (unfold base, up, down in *; lra).
  clearbody base up down.
  assert (ups : added * up <= 0 \/ added * up <= additions * up).
  { destruct (Qlt_le_dec up 0); [left | right].
    - assert (0 <= added * - up) by (apply Qmult_le_0_compat; lra). lra.
    - apply Qmult_le_compat_r; lra. }
  assert (downs : lost * down <= 0 \/ lost * down <= removals * down).
  { destruct (Qlt_le_dec down 0); [left | right].
    - assert (0 <= lost * - down) by (apply Qmult_le_0_compat; lra). lra.
    - apply Qmult_le_compat_r; lra. }
  destruct ups, downs; lra.
Qed.

Lemma taking_the_smaller_first_is_the_most (removals first_product many second_product few first second : Q) :
  first_product <= second_product -> second_product <= 0 -> 0 <= first <= many -> 0 <= second <= few ->
  first + second <= removals ->
  - (first_product * first) - second_product * second
  <= take removals first_product many second_product few.
Proof.
  intros order negative first_range second_range few_taken; unfold take.
  assert (worth : 0 <= (second_product - first_product)) by lra.
  destruct (Q.min_spec many removals) as [[under ->]|[over ->]].
  - destruct (Q.min_spec few (removals - many)) as [[under_too ->]|[over_too ->]].
    + assert (0 <= - first_product * (many - first)) by (apply Qmult_le_0_compat; lra).
      assert (0 <= - second_product * (few - second)) by (apply Qmult_le_0_compat; lra). lra.
    + assert (0 <= (second_product - first_product) * (many - first)) by (apply Qmult_le_0_compat; lra).
      assert (0 <= - second_product * (removals - first - second)) by (apply Qmult_le_0_compat; lra). lra.
  - assert (zero : Qmin few (removals - removals) == 0).
    { destruct (Q.min_spec few (removals - removals)) as [[under ->]|[_ ->]]; lra. }
    rewrite zero.
    assert (0 <= (second_product - first_product) * second) by (apply Qmult_le_0_compat; lra).
    assert (0 <= - first_product * (removals - first - second)) by (apply Qmult_le_0_compat; lra). lra.
Qed.

Lemma products_are_at_most_those_taken (removals falls rises : Q) :
  a <= 0 <= b -> c <= 0 <= d ->
  0 <= falls -> 0 <= rises -> falls + rises <= removals ->
  falls <= - n * a / (b - a) -> falls <= n * d / (d - c) ->
  rises <= n * b / (b - a) -> rises <= - n * c / (d - c) ->
  - (b * c * falls) - a * d * rises <= products_taken removals.
Proof.
  intros x_box y_box some some_too few one two three four.
  assert (0 <= b * - c) by (apply Qmult_le_0_compat; lra).
  assert (0 <= - a * d) by (apply Qmult_le_0_compat; lra).
  unfold products_taken; destruct (Qlt_le_dec (a * d) (b * c)).
  - pose proof (taking_the_smaller_first_is_the_most removals (a * d)
      (Qmin (n * b / (b - a)) (- n * c / (d - c))) (b * c) (Qmin (- n * a / (b - a)) (n * d / (d - c)))
      rises falls) as most.
    assert (rises <= Qmin (n * b / (b - a)) (- n * c / (d - c))) by (apply Q.min_glb; auto).
    assert (falls <= Qmin (- n * a / (b - a)) (n * d / (d - c))) by (apply Q.min_glb; auto).
    cbv zeta; lapply most; [|lra]; clear most; intros most; lapply most; [|lra]; clear most; intros most.
    specialize (most ltac:(auto) ltac:(auto) ltac:(lra)). lra.
  - pose proof (taking_the_smaller_first_is_the_most removals (b * c)
      (Qmin (- n * a / (b - a)) (n * d / (d - c))) (a * d) (Qmin (n * b / (b - a)) (- n * c / (d - c)))
      falls rises) as most.
    assert (rises <= Qmin (n * b / (b - a)) (- n * c / (d - c))) by (apply Q.min_glb; auto).
    assert (falls <= Qmin (- n * a / (b - a)) (n * d / (d - c))) by (apply Q.min_glb; auto).
    cbv zeta; lapply most; [|lra]; clear most; intros most; lapply most; [|lra]; clear most; intros most.
    specialize (most ltac:(auto) ltac:(auto) ltac:(lra)). lra.
Qed.

Lemma means_are_not_further_apart (x_low x_high y_low y_high x y : Q) :
  x_low <= 0 <= x_high -> y_low <= 0 <= y_high -> x_low <= x <= x_high -> y_low <= y <= y_high ->
  - (x * y) <= means_apart x_low x_high y_low y_high.
Proof.
  intros x_zero y_zero x_range y_range; unfold means_apart.
  assert (one : - x_low * y_high <= Qmax (- x_low * y_high) (- x_high * y_low)) by apply Q.le_max_l.
  assert (two : - x_high * y_low <= Qmax (- x_low * y_high) (- x_high * y_low)) by apply Q.le_max_r.
  destruct (Qlt_le_dec x 0), (Qlt_le_dec y 0).
  - assert (0 <= - x * - y) by (apply Qmult_le_0_compat; lra).
    assert (0 <= - x_low * y_high) by (apply Qmult_le_0_compat; lra). lra.
  - assert (0 <= (x - x_low) * y) by (apply Qmult_le_0_compat; lra).
    assert (0 <= - x_low * (y_high - y)) by (apply Qmult_le_0_compat; lra). lra.
  - assert (0 <= (x_high - x) * - y) by (apply Qmult_le_0_compat; lra).
    assert (0 <= x_high * (y - y_low)) by (apply Qmult_le_0_compat; lra). lra.
  - assert (0 <= x * y) by (apply Qmult_le_0_compat; lra).
    assert (0 <= - x_low * y_high) by (apply Qmult_le_0_compat; lra). lra.
Qed.

End Corners.

(** * Which products can be taken away *)

Open Scope Z_scope.

(** One point, as parts of the area that lie at (b, c) and at (a, d). *)
Lemma parts_of_one_point (a b c d x y : Z) :
  a <= 0 <= b -> c <= 0 <= d -> a <= x <= b -> c <= y <= d ->
  exists falls rises, 0 <= falls /\ 0 <= rises /\
    falls <= (x - a) * (d - c) /\ falls <= (d - y) * (b - a) /\
    rises <= (b - x) * (d - c) /\ rises <= (y - c) * (b - a) /\
    falls + rises <= (b - a) * (d - c) /\
    falls * (b * c) + rises * (a * d) <= (b - a) * (d - c) * (x * y).
Proof.
  intros x_box y_box x_in y_in.
  destruct (Z.le_gt_cases ((d - y) * (b - a)) ((x - a) * (d - c))) as [right|left].
  - exists ((d - y) * (b - a)), ((b - x) * (d - c)); repeat split; try nia.
    assert (equal : (b - a) * (d - c) * (x * y) =
      (d - y) * (b - a) * (b * c) + (b - x) * (d - c) * (a * d)
      + ((x - a) * (d - c) - (d - y) * (b - a)) * (b * d) + (b - a) * (d - c) * ((d - y) * (b - x))) by ring.
    assert (0 <= ((x - a) * (d - c) - (d - y) * (b - a)) * (b * d)) by (apply Z.mul_nonneg_nonneg; nia).
    assert (0 <= (b - a) * (d - c) * ((d - y) * (b - x))) by (apply Z.mul_nonneg_nonneg; nia). lia.
  - exists ((x - a) * (d - c)), ((y - c) * (b - a)); repeat split; try nia.
    assert (equal : (b - a) * (d - c) * (x * y) =
      (x - a) * (d - c) * (b * c) + (y - c) * (b - a) * (a * d)
      + ((d - y) * (b - a) - (x - a) * (d - c)) * (a * c) + (b - a) * (d - c) * ((x - a) * (y - c))) by ring.
    assert (0 <= ((d - y) * (b - a) - (x - a) * (d - c)) * (a * c)) by (apply Z.mul_nonneg_nonneg; nia).
    assert (0 <= (b - a) * (d - c) * ((x - a) * (y - c))) by (apply Z.mul_nonneg_nonneg; nia). lia.
Qed.

Lemma parts_of_points (a b c d : Z) (points : list point) :
  a <= 0 <= b -> c <= 0 <= d -> Forall (inside a b c d) points ->
  exists falls rises, 0 <= falls /\ 0 <= rises /\
    falls <= (sum_of fst points - number points * a) * (d - c) /\
    falls <= (number points * d - sum_of snd points) * (b - a) /\
    rises <= (number points * b - sum_of fst points) * (d - c) /\
    rises <= (sum_of snd points - number points * c) * (b - a) /\
    falls + rises <= number points * ((b - a) * (d - c)) /\
    falls * (b * c) + rises * (a * d) <= (b - a) * (d - c) * sum_of product points.
Proof.
  intros x_box y_box; induction 1 as [|[x y] points [x_in y_in] within IH].
  - exists 0, 0; unfold number; simpl; lia.
  - destruct IH as (falls & rises & IH).
    destruct (parts_of_one_point a b c d x y x_box y_box x_in y_in) as (more_falls & more_rises & one).
    exists (falls + more_falls), (rises + more_rises).
    rewrite number_of_one_more; cbn [sum_of fst snd] in *; unfold product at 1; cbn [fst snd].
    destruct IH as (? & ? & ? & ? & ? & ? & ? & ?), one as (? & ? & ? & ? & ? & ? & ? & ?).
    repeat split; lia.
Qed.

Lemma products_are_at_most_at_a_corner (a b c d : Z) (points : list point) :
  a <= 0 <= b -> c <= 0 <= d -> Forall (inside a b c d) points ->
  sum_of product points <= number points * Z.max (a * c) (b * d).
Proof.
  intros x_box y_box; induction 1 as [|[x y] points [x_in y_in] within IH]; [unfold number; simpl; lia|].
  rewrite number_of_one_more; cbn [sum_of fst snd] in *; unfold product at 1; cbn [fst snd].
  enough (x * y <= Z.max (a * c) (b * d)) by lia.
  destruct (Z.le_gt_cases 0 x), (Z.le_gt_cases 0 y); nia.
Qed.

(** The same for parts that are integers, of which the area is the unit. *)
Lemma parts_bound_the_products_taken (n a b c d removals falls rises products : Z) :
  a <= 0 <= b -> c <= 0 <= d -> 0 < b - a -> 0 < d - c -> 0 <= falls -> 0 <= rises ->
  falls <= - n * a * (d - c) -> falls <= n * d * (b - a) ->
  rises <= n * b * (d - c) -> rises <= - n * c * (b - a) ->
  falls + rises <= removals * ((b - a) * (d - c)) ->
  falls * (b * c) + rises * (a * d) <= (b - a) * (d - c) * products ->
  (- inject_Z products
   <= products_taken (inject_Z n) (inject_Z a) (inject_Z b) (inject_Z c) (inject_Z d) (inject_Z removals))%Q.
Proof.
  intros [a_low b_high] [c_low d_high] wide tall some some_too one two three four both enough.
  rewrite Zlt_Qlt in wide, tall; rewrite Zle_Qle in *; unfold Z.sub in *.
  repeat (rewrite inject_Z_plus in * || rewrite inject_Z_mult in * || rewrite inject_Z_opp in * ).
  change (inject_Z 0) with 0%Q in *.
  set (N := inject_Z n) in *; set (A := inject_Z a) in *; set (B := inject_Z b) in *.
  set (C := inject_Z c) in *; set (D := inject_Z d) in *; set (R := inject_Z removals) in *.
  set (F := inject_Z falls) in *; set (U := inject_Z rises) in *; set (P := inject_Z products) in *.
  clearbody N A B C D R F U P.
  assert (box : (0 < (B - A) * (D - C))%Q) by (apply Qmult_lt_0_compat; lra).
  assert (unit : ((B + - A) * (D + - C) == (B - A) * (D - C))%Q) by ring.
  eapply Qle_trans; [|apply products_are_at_most_those_taken with
    (falls := (F / ((B - A) * (D - C)))%Q) (rises := (U / ((B - A) * (D - C)))%Q)]; try lra.
  - assert (equal : (- (B * C * (F / ((B - A) * (D - C)))) - A * D * (U / ((B - A) * (D - C)))
                     == - ((F * (B * C) + U * (A * D)) / ((B - A) * (D - C))))%Q) by (field; lra).
    rewrite equal; apply Qopp_le_compat, Qle_shift_div_r; auto; lra.
  - apply Qle_shift_div_l; auto; lra.
  - apply Qle_shift_div_l; auto; lra.
  - assert (equal : (F / ((B - A) * (D - C)) + U / ((B - A) * (D - C))
                     == (F + U) / ((B - A) * (D - C)))%Q) by (field; lra).
    rewrite equal; apply Qle_shift_div_r; auto; lra.
  - apply Qle_shift_div_r; auto.
    assert (equal : (- N * A / (B - A) * ((B - A) * (D - C)) == - N * A * (D - C))%Q) by (field; lra).
    rewrite equal; lra.
  - apply Qle_shift_div_r; auto.
    assert (equal : (N * D / (D - C) * ((B - A) * (D - C)) == N * D * (B - A))%Q) by (field; lra).
    rewrite equal; lra.
  - apply Qle_shift_div_r; auto.
    assert (equal : (N * B / (B - A) * ((B - A) * (D - C)) == N * B * (D - C))%Q) by (field; lra).
    rewrite equal; lra.
  - apply Qle_shift_div_r; auto.
    assert (equal : (- N * C / (D - C) * ((B - A) * (D - C)) == - N * C * (B - A))%Q) by (field; lra).
    rewrite equal; lra.
Qed.
