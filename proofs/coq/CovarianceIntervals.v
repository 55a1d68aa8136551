(** What a covariance can be, whatever the observations are that have not arrived:
    convergence_jax/partition/answers/covariance_interval.py, [_highest], in ticks. The lower end is that of
    (x, -y) with the other sign, as in the code.

    Proved: the upper end is not below the sample covariance of any truth with at least two observations, with
    any function that rounds the steps of Dinkelbach's method, if they end; that no narrower interval holds is
    neither proved nor true. Cutting by the square root of the variances is not modelled. *)
From Coq Require Import ZArith QArith Qminmax Lqa List Permutation Bool Lia.
From Convergence Require Import Liars Intervals MeanIntervals.
From Convergence Require Import Comoments CentredPoints LargestCovariance.
From Convergence Require Import CovarianceAdditions CovarianceRemovals.
Import ListNotations.
Open Scope Z_scope.
Set Default Proof Using "Type".

(** * What the code computes *)

(** [_highest], in at most so many steps; None if they are too few. *)
Definition highest (steps : nat) (rounded : Q -> Q) (n x_sum y_sum products : Z) (first second : span)
  (missing : unseen) : option Q :=
  let largest := largest_covariance n first second missing in
  let removals := removable n missing in
  match additions missing with
  | None => Some largest
  | Some more =>
      if (n - removals <? 2) || (width first * width second =? 0) then Some largest
      else
        let scatter := inject_Z (n * (n * products - x_sum * y_sum)) in
        let a := inject_Z (n * low first - x_sum) in
        let b := inject_Z (n * high first - x_sum) in
        let c := inject_Z (n * low second - y_sum) in
        let d := inject_Z (n * high second - y_sum) in
        let x_ends := mean_ends n x_sum first missing in
        let y_ends := mean_ends n y_sum second missing in
        let shifted (ends : Q) (sum : Z) := (inject_Z n * ends - inject_Z sum)%Q in
        let top :=
          if removals =? 0
          then with_additions (inject_Z n) scatter a b c d (inject_Z more) rounded steps
                 (first_best (inject_Z n) scatter a b c d (inject_Z more))
          else Some (with_removals (inject_Z n) a b c d scatter
                       (shifted (fst x_ends) x_sum) (shifted (snd x_ends) x_sum)
                       (shifted (fst y_ends) y_sum) (shifted (snd y_ends) y_sum)
                       (inject_Z more) (inject_Z removals)) in
        option_map (fun top =>
          let top := (top / (inject_Z n * inject_Z n))%Q in
          let quarter := inject_Z (width first * width second) in
          let beyond := if Qlt_le_dec quarter (4 * top) then true else false in
          if negb (more =? 0) && beyond then largest else Qmin top largest) top
  end.

Section Truth.
Variables (first second : span) (missing : unseen) (kept gone added : list point).
Hypothesis possible : may_be_points first second missing kept gone added.
Hypothesis proper : is_unseen missing.

Let visible : list point := kept ++ gone.
Let truth : list point := kept ++ added.
Let n : Z := number visible.
Let x_sum : Z := sum_of fst visible.
Let y_sum : Z := sum_of snd visible.
Let products : Z := sum_of product visible.
Let scatter : Z := n * (n * products - x_sum * y_sum).
Let a : Z := n * low first - x_sum.
Let b : Z := n * high first - x_sum.
Let c : Z := n * low second - y_sum.
Let d : Z := n * high second - y_sum.

Lemma means_are_inside : a <= 0 <= b /\ c <= 0 <= d.
Proof using possible.
  destruct (sums_are_inside _ _ _ _ _ (visible_are_within _ _ _ _ _ _ possible)) as [xs ys].
  unfold a, b, c, d, n, x_sum, y_sum, visible; lia.
Qed.

Lemma sums_of_centred_visible :
  number (centred n x_sum y_sum visible) = n /\
  sum_of fst (centred n x_sum y_sum visible) = 0 /\ sum_of snd (centred n x_sum y_sum visible) = 0 /\
  sum_of product (centred n x_sum y_sum visible) = scatter.
Proof using a b c d first second.
  unfold centred; destruct (sums_of_moved n x_sum y_sum visible) as (-> & -> & -> & ->).
  unfold scatter, products, n, x_sum, y_sum; repeat split; ring.
Qed.

Lemma truth_is_within : Forall (within_spans first second) truth.
Proof using possible.
  pose proof (visible_are_within _ _ _ _ _ _ possible) as here; apply Forall_app in here.
  apply Forall_app; split; [tauto | apply (added_are_within _ _ _ _ _ _ possible)].
Qed.

Lemma gone_are_removable : 0 <= number gone <= removable n missing.
Proof using possible.
  pose proof (number_is_not_negative gone); pose proof (number_is_not_negative kept).
  split; auto; apply taken_are_removable; [|apply (few_are_gone _ _ _ _ _ _ possible)].
  unfold n, visible; rewrite number_of_both; lia.
Qed.

Lemma number_of_truth : number truth = n - number gone + number added.
Proof using a b c d first second.
  unfold truth, n, visible; rewrite !number_of_both; lia. Qed.

Lemma without_removals_the_loop_holds (more : Z) (rounded : Q -> Q) (steps : nat) (top : Q) :
  2 <= n -> removable n missing = 0 -> additions missing = Some more ->
  0 < width first * width second ->
  (more = 0 \/ (4 * (top / (inject_Z n * inject_Z n)) <= inject_Z (width first * width second))%Q) ->
  with_additions (inject_Z n) (inject_Z scatter) (inject_Z a) (inject_Z b) (inject_Z c) (inject_Z d)
    (inject_Z more) rounded steps
    (first_best (inject_Z n) (inject_Z scatter) (inject_Z a) (inject_Z b) (inject_Z c) (inject_Z d)
       (inject_Z more)) = Some top ->
  (inject_Z (comoment (centred n x_sum y_sum truth))
   <= top * inject_Z (number truth * (number truth - 1)))%Q.
Proof using possible proper.
  intros size none bound wide small result.
  pose proof gone_are_removable as few; rewrite none in few.
  assert (gone_is_nothing : gone = []) by (destruct gone; auto; unfold number in few; simpl in few; lia).
  destruct means_are_inside as [x_box y_box].
  pose proof (few_are_added _ _ _ _ _ _ possible) as few_added.
  rewrite bound in few_added; simpl in few_added.
  pose proof (centred_are_within n x_sum y_sum first second added ltac:(lia)
                (added_are_within _ _ _ _ _ _ possible)) as within; fold a b c d in within.
  destruct sums_of_centred_visible as (sizes & xs & ys & xys).
  destruct (comoment_is_largest_at_opposite_corners a b c d (centred n x_sum y_sum visible)
              (centred n x_sum y_sum added) x_box y_box within xs ys)
    as (i & j & some & some_too & equal & most).
  rewrite sizes, xys in most.
  assert (all : centred n x_sum y_sum truth = centred n x_sum y_sum visible ++ centred n x_sum y_sum added).
  { unfold truth, visible, centred; rewrite gone_is_nothing, app_nil_r, <- map_app; auto. }
  rewrite all.
  assert (added_number : i + j = number added)
    by (unfold centred, number in *; rewrite map_length in equal; auto).
  rewrite number_of_truth, gone_is_nothing, <- added_number.
  replace (n - number [] + (i + j)) with (n + i + j) by (unfold number; simpl; lia).
  eapply Qle_trans; [rewrite <- Zle_Qle; exact most|].
  assert (two : (2 <= inject_Z n)%Q) by (change 2%Q with (inject_Z 2); now rewrite <- Zle_Qle).
  assert (i_positive : (0 <= inject_Z i)%Q) by (change 0%Q with (inject_Z 0); now rewrite <- Zle_Qle).
  assert (j_positive : (0 <= inject_Z j)%Q) by (change 0%Q with (inject_Z 0); now rewrite <- Zle_Qle).
  assert (more_positive : (0 <= inject_Z more)%Q).
  { change 0%Q with (inject_Z 0); rewrite <- Zle_Qle; pose proof (number_is_not_negative added); lia. }
  assert (none_exceeds : (excess (inject_Z n) (inject_Z scatter) (inject_Z a) (inject_Z b) (inject_Z c)
                            (inject_Z d) top (inject_Z i) (inject_Z j) <= 0)%Q).
  { destruct small as [no_more|small].
    - replace i with 0 by lia; replace j with 0 by lia.
      eapply no_excess_of_the_visible; eauto.
    - assert (area_is : (CovarianceAdditions.area (inject_Z a) (inject_Z b) (inject_Z c) (inject_Z d)
                         == inject_Z n * inject_Z n * inject_Z (width first * width second))%Q).
      { unfold CovarianceAdditions.area, a, b, c, d, width; as_fractions; ring. }
      assert (wide_too : (0 < inject_Z (width first * width second))%Q)
        by (change 0%Q with (inject_Z 0); now rewrite <- Zlt_Qlt).
      assert (squared : (0 < inject_Z n * inject_Z n)%Q) by (apply Qmult_lt_0_compat; lra).
      eapply no_excess_where_the_loop_ends; eauto.
      + rewrite area_is; apply Qmult_lt_0_compat; auto.
      + rewrite area_is.
        assert (back : (4 * top == 4 * (top / (inject_Z n * inject_Z n)) * (inject_Z n * inject_Z n))%Q)
          by (field; lra).
        rewrite back, (Qmult_comm (inject_Z n * inject_Z n)). apply Qmult_le_compat_r; lra.
      + rewrite <- inject_Z_plus, <- Zle_Qle; lia. }
  unfold excess in none_exceeds; unfold of_corners; clear - none_exceeds; as_fractions.
  change (inject_Z (-1)) with (-1)%Q; change (inject_Z 1) with 1%Q. lra.
Qed.

Lemma parts_may_be (part : point -> Z) (declared : span) :
  Forall (within declared) (map part visible) -> Forall (within declared) (map part added) ->
  shows declared n (sum_of part visible) (map part visible) /\
  may_be declared missing (map part visible) (map part truth) /\
  may_be declared missing (map part visible) (map part visible).
Proof using possible proper a b c d.
  intros inside_visible inside_added; split; [|split].
  - unfold shows; rewrite total_of_part, count_of_part; auto.
  - exists (map part kept), (map part gone), (map part added); unfold visible, truth; rewrite <- !map_app.
    rewrite !count_of_part; repeat split; auto;
      [apply (few_are_gone _ _ _ _ _ _ possible) | apply (few_are_added _ _ _ _ _ _ possible)].
  - exists (map part visible), [], []; rewrite !app_nil_r; repeat split; auto.
    all: apply none_is_at_most, proper.
Qed.

(** The centred mean of the truth, and that of the visible, which is zero, are between the shifts. *)
Lemma centred_means_are_between (part : point -> Z) (declared : span) :
  Forall (within declared) (map part visible) -> Forall (within declared) (map part added) ->
  low declared <= high declared -> 0 < n -> 0 < number truth ->
  let ends := mean_ends n (sum_of part visible) declared missing in
  let lower := (inject_Z n * fst ends - inject_Z (sum_of part visible))%Q in
  let upper := (inject_Z n * snd ends - inject_Z (sum_of part visible))%Q in
  (lower <= 0 <= upper)%Q /\
  (lower <= inject_Z (n * sum_of part truth - number truth * sum_of part visible) / inject_Z (number truth)
   <= upper)%Q.
Proof using possible proper a b c d.
  intros inside_visible inside_added order positive some; cbv zeta.
  destruct (parts_may_be part declared inside_visible inside_added) as (here & there & itself).
  pose proof (shifted_ends_hold _ _ _ _ _ _ order proper here there
                ltac:(rewrite count_of_part; auto) positive) as of_truth.
  pose proof (shifted_ends_hold _ _ _ _ _ _ order proper here itself
                ltac:(rewrite count_of_part; auto) positive) as of_visible.
  cbv zeta in *; rewrite !total_of_part, !count_of_part in *; split; auto.
  fold n in of_visible.
  replace (n * sum_of part visible - n * sum_of part visible) with 0 in of_visible by lia.
  pose proof (injected_is_positive _ positive).
  assert (zero : (inject_Z 0 / inject_Z n == 0)%Q) by (change (inject_Z 0) with 0%Q; field; lra).
  rewrite zero in of_visible; auto.
Qed.

Lemma gone_have_no_smaller_products :
  low first < high first -> low second < high second -> 0 < n ->
  (- inject_Z (sum_of product (centred n x_sum y_sum gone))
   <= products_taken (inject_Z n) (inject_Z a) (inject_Z b) (inject_Z c) (inject_Z d)
        (inject_Z (removable n missing)))%Q.
Proof using possible.
  intros wide tall positive.
  destruct means_are_inside as [x_box y_box].
  pose proof (visible_are_within _ _ _ _ _ _ possible) as here; apply Forall_app in here.
  destruct here as [kept_inside gone_inside].
  apply (centred_are_within n x_sum y_sum) in kept_inside, gone_inside; try lia.
  fold a b c d in kept_inside, gone_inside.
  destruct (parts_of_points a b c d _ x_box y_box gone_inside)
    as (falls & rises & some & some_too & one & two & three & four & both & products_of_parts).
  destruct (sums_are_inside _ _ _ _ _ kept_inside) as [xs ys].
  destruct sums_of_centred_visible as (_ & x_zero & y_zero & _).
  unfold visible, centred in x_zero, y_zero; rewrite map_app, sum_of_both in x_zero, y_zero.
  fold (centred n x_sum y_sum kept) (centred n x_sum y_sum gone) in x_zero, y_zero.
  assert (sizes : number (centred n x_sum y_sum kept) = n - number gone /\
                  number (centred n x_sum y_sum gone) = number gone).
  { unfold centred, n, visible, number; rewrite !map_length, app_length; lia. }
  destruct sizes as [size_kept size_gone]; rewrite size_kept, size_gone in *.
  pose proof gone_are_removable as few.
  assert (width_positive : 0 < b - a).
  { unfold a, b. assert (0 < n * (high first - low first)) by (apply Z.mul_pos_pos; lia). lia. }
  assert (height_positive : 0 < d - c).
  { unfold c, d. assert (0 < n * (high second - low second)) by (apply Z.mul_pos_pos; lia). lia. }
  assert (falls_x : falls <= - n * a * (d - c))
    by (eapply Z.le_trans; [exact one | apply Z.mul_le_mono_nonneg_r; lia]).
  assert (falls_y : falls <= n * d * (b - a))
    by (eapply Z.le_trans; [exact two | apply Z.mul_le_mono_nonneg_r; lia]).
  assert (rises_x : rises <= n * b * (d - c))
    by (eapply Z.le_trans; [exact three | apply Z.mul_le_mono_nonneg_r; lia]).
  assert (rises_y : rises <= - n * c * (b - a))
    by (eapply Z.le_trans; [exact four | apply Z.mul_le_mono_nonneg_r; lia]).
  assert (box_is_positive : 0 < (b - a) * (d - c)) by (apply Z.mul_pos_pos; auto).
  assert (few_parts : falls + rises <= removable n missing * ((b - a) * (d - c)))
    by (eapply Z.le_trans; [exact both | apply Z.mul_le_mono_nonneg_r; lia]).
  set (gone_products := sum_of product (centred n x_sum y_sum gone)) in *.
  clearbody gone_products; clear one two three four both xs ys x_zero y_zero kept_inside gone_inside.
  apply (parts_bound_the_products_taken n a b c d (removable n missing) falls rises); auto.
Qed.

Let shifted (ends : Q) (sum : Z) : Q := (inject_Z n * ends - inject_Z sum)%Q.
Let x_ends : Q * Q := mean_ends n x_sum first missing.
Let y_ends : Q * Q := mean_ends n y_sum second missing.

Lemma with_removals_the_quotients_hold (more : Z) :
  low first < high first -> low second < high second -> 2 <= n - removable n missing ->
  additions missing = Some more -> 2 <= number truth ->
  (inject_Z (comoment (centred n x_sum y_sum truth))
   <= with_removals (inject_Z n) (inject_Z a) (inject_Z b) (inject_Z c) (inject_Z d) (inject_Z scatter)
        (shifted (fst x_ends) x_sum) (shifted (snd x_ends) x_sum)
        (shifted (fst y_ends) y_sum) (shifted (snd y_ends) y_sum)
        (inject_Z more) (inject_Z (removable n missing))
      * inject_Z (number truth * (number truth - 1)))%Q.
Proof using possible proper.
  intros wide tall enough bound some.
  pose proof gone_are_removable as few.
  pose proof (gone_have_no_smaller_products wide tall ltac:(lia)) as no_smaller.
  destruct means_are_inside as [x_box y_box].
  pose proof (few_are_added _ _ _ _ _ _ possible) as few_added.
  rewrite bound in few_added; simpl in few_added.
  pose proof (added_are_within _ _ _ _ _ _ possible) as added_inside.
  pose proof (visible_are_within _ _ _ _ _ _ possible) as visible_inside.
  assert (axes : forall points, Forall (within_spans first second) points ->
            Forall (within first) (map fst points) /\ Forall (within second) (map snd points)).
  { intros points inside; rewrite !Forall_map; split; eapply Forall_impl, inside; unfold within_spans, within;
      intros one [? ?]; auto. }
  destruct (axes _ added_inside) as [x_added y_added], (axes _ visible_inside) as [x_visible y_visible].
  destruct (centred_means_are_between fst first x_visible x_added ltac:(lia) ltac:(lia) ltac:(lia))
    as [x_zero x_mean].
  destruct (centred_means_are_between snd second y_visible y_added ltac:(lia) ltac:(lia) ltac:(lia))
    as [y_zero y_mean].
  pose proof (means_are_not_further_apart _ _ _ _ _ _ x_zero y_zero x_mean y_mean) as apart.
  fold x_sum y_sum in apart; fold x_ends y_ends in apart.
  fold (shifted (fst x_ends) x_sum) (shifted (snd x_ends) x_sum) in apart.
  fold (shifted (fst y_ends) y_sum) (shifted (snd y_ends) y_sum) in apart.
  clear x_zero y_zero x_mean y_mean x_added y_added x_visible y_visible axes.
  pose proof (products_are_at_most_at_a_corner a b c d _ x_box y_box
                (centred_are_within n x_sum y_sum first second added ltac:(lia) added_inside)) as most_added.
  assert (added_number : number (centred n x_sum y_sum added) = number added)
    by (unfold centred, number; now rewrite map_length).
  rewrite added_number in most_added.
  set (k := means_apart _ _ _ _) in *.
  set (taken := products_taken _ _ _ _ _ _) in *.
  set (gone_products := sum_of product (centred n x_sum y_sum gone)) in *.
  set (added_products := sum_of product (centred n x_sum y_sum added)) in *.
  assert (value : comoment (centred n x_sum y_sum truth) =
    number truth * (scatter - gone_products + added_products)
    - (n * sum_of fst truth - number truth * x_sum) * (n * sum_of snd truth - number truth * y_sum)).
  { destruct sums_of_centred_visible as (_ & _ & _ & products_here).
    destruct (sums_of_moved n x_sum y_sum truth) as (size & xs & ys & _).
    unfold comoment; fold (centred n x_sum y_sum truth) in *; rewrite size, xs, ys.
    replace (sum_of product (centred n x_sum y_sum truth))
      with (scatter - gone_products + added_products); auto.
    rewrite <- products_here; unfold gone_products, added_products, visible, truth, centred.
    rewrite !map_app, !sum_of_both; lia. }
  rewrite value; clear value.
  set (xs := n * sum_of fst truth - number truth * x_sum) in *.
  set (ys := n * sum_of snd truth - number truth * y_sum) in *.
  pose proof number_of_truth as size; pose proof (number_is_not_negative added) as some_added.
  set (added_size := number added) in *; set (gone_number := number gone) in *.
  set (all := number truth) in *.
  unfold with_removals; cbv zeta; fold k taken.
  clearbody gone_products added_products xs ys k taken added_size gone_number all.
  set (largest := (Qmax (inject_Z a * inject_Z c) (inject_Z b * inject_Z d) + k)%Q).
  set (top := Qmax _ _).
  pose proof (a_linear_sum_is_below_at_the_corners (inject_Z n) (inject_Z scatter + inject_Z n * k + taken)
    largest k top (inject_Z more) (inject_Z (removable n missing)) (inject_Z added_size)
    (inject_Z gone_number)) as below.
  assert (bounded : (inject_Z scatter + inject_Z n * k + taken + inject_Z added_size * largest
                     - inject_Z gone_number * k
                     <= top * (inject_Z n - 1 + inject_Z added_size - inject_Z gone_number))%Q).
  { apply below; try apply Qle_refl.
    - split; [apply injected_is_not_negative | rewrite <- Zle_Qle]; lia.
    - split; [apply injected_is_not_negative | rewrite <- Zle_Qle]; lia.
    - change 2%Q with (inject_Z 2); unfold Qminus.
      rewrite <- inject_Z_opp, <- inject_Z_plus, <- Zle_Qle; lia. }
  clear below; clearbody top.
  assert (corner : (inject_Z added_products <= inject_Z added_size * (largest - k))%Q).
  { eapply Qle_trans; [rewrite <- Zle_Qle; exact most_added|].
    rewrite inject_Z_mult, !(Qmult_comm (inject_Z added_size)).
    apply Qmult_le_compat_r; [|apply injected_is_not_negative; lia].
    assert (equal : (largest - k == Qmax (inject_Z a * inject_Z c) (inject_Z b * inject_Z d))%Q)
      by (unfold largest; ring).
    rewrite equal.
    destruct (Z.max_spec (a * c) (b * d)) as [[_ ->]|[_ ->]]; rewrite inject_Z_mult;
      [apply Q.le_max_r | apply Q.le_max_l]. }
  assert (positive : (0 < inject_Z all)%Q) by (apply injected_is_positive; lia).
  assert (size_too : (inject_Z all == inject_Z n - inject_Z gone_number + inject_Z added_size)%Q).
  { rewrite size; unfold Z.sub; rewrite !inject_Z_plus, inject_Z_opp; ring. }
  assert (minus : (- (inject_Z xs * inject_Z ys) <= inject_Z all * inject_Z all * k)%Q).
  { assert (equal : (- (inject_Z xs * inject_Z ys) ==
                     - (inject_Z xs / inject_Z all * (inject_Z ys / inject_Z all))
                     * (inject_Z all * inject_Z all))%Q)
      by (field; lra).
    rewrite equal, (Qmult_comm (inject_Z all * inject_Z all)).
    apply Qmult_le_compat_r; auto. apply Qmult_le_0_compat; lra. }
  assert (inside : (inject_Z scatter - inject_Z gone_products + inject_Z added_products + inject_Z all * k
                    <= top * (inject_Z all - 1))%Q).
  { rewrite size_too at 1; rewrite size_too; clear - bounded corner no_smaller; lra. }
  pose proof (Qmult_le_compat_r _ _ (inject_Z all) inside ltac:(lra)) as whole.
  clear - whole minus; as_fractions; change (inject_Z (-1)) with (-1)%Q; change (inject_Z 1) with 1%Q. lra.
Qed.

Theorem the_highest_covariance_holds_every_truth (steps : nat) (rounded : Q -> Q) (top : Q) :
  low first <= high first -> low second <= high second -> 2 <= number truth ->
  highest steps rounded n x_sum y_sum products first second missing = Some top ->
  (covariance truth <= top)%Q.
Proof using possible proper a b c d shifted x_ends y_ends.
  intros wide tall some.
  pose proof gone_are_removable as few; pose proof number_of_truth as size.
  pose proof (number_is_not_negative added).
  pose proof (no_covariance_is_larger n first second missing truth wide tall truth_is_within some ltac:(lia))
    as no_larger.
  unfold highest; cbv zeta.
  destruct (additions missing) as [more|] eqn:bound; [|intros result; injection result as <-; auto].
  destruct (Z.ltb_spec (n - removable n missing) 2) as [|enough]; simpl;
    [intros result; injection result as <-; auto|].
  destruct (Z.eqb_spec (width first * width second) 0) as [|not_flat];
    [intros result; injection result as <-; auto|].
  assert (wider : low first < high first /\ low second < high second) by (unfold width in *; nia).
  assert (area : 0 < width first * width second) by (unfold width in *; nia).
  fold scatter a b c d x_ends y_ends.
  set (found := if removable n missing =? 0 then _ else _).
  destruct found as [value|] eqn:found_is; simpl; [|discriminate].
  assert (holds : (more = 0 \/
                   (4 * (value / (inject_Z n * inject_Z n)) <= inject_Z (width first * width second))%Q) ->
                  (covariance truth <= value / (inject_Z n * inject_Z n))%Q).
  { intros small; apply covariance_is_at_most; auto.
    apply (centred_top_is_a_top n x_sum y_sum); [lia|].
    subst found; destruct (Z.eqb_spec (removable n missing) 0) as [none|].
    - eapply without_removals_the_loop_holds; eauto; lia.
    - injection found_is as <-. apply with_removals_the_quotients_hold; tauto. }
  clearbody found; destruct (Z.eqb_spec more 0) as [no_more|some_more]; simpl.
  - intros result; injection result as <-. apply Q.min_glb; auto.
  - destruct (Qlt_le_dec _ _) as [beyond|small]; intros result; injection result as <-; auto.
    apply Q.min_glb; auto.
Qed.
End Truth.
