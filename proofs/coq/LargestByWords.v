(** How convergence_jax/consensus/bounds.py, [largest_sum], chooses the largest integers of 128 bits by two
    words of 64: the upper word decides, and among those whose upper word equals the last one taken, the lower
    word.

    Proved: what it adds up is the sum of the largest, whichever ties there are. *)
From Coq Require Import ZArith List Permutation Sorted Lia.
From Convergence Require Import Constants Liars.
Import ListNotations.
Open Scope Z_scope.
Set Default Proof Using "Type".

(** * What the code computes *)

(** The values of a word: two digits. *)
Definition WORD : Z := 2 ^ (2 * DIGIT_BITS).

Definition upper_word (value : Z) : Z := value / WORD.
Definition lower_word (value : Z) : Z := value mod WORD.

(** The lower word of one that is tied, else zero. *)
Definition tied_word (last value : Z) : Z := if upper_word value =? last then lower_word value else 0.

(** [bounds.largest_sum], of which the lanes are read as one integer. Where the code sorts upwards and reads
    from the end, this sorts downwards and reads from the beginning. *)
Definition largest_sum_by_words (number : nat) (values : list Z) : Z :=
  if (length values <=? number)%nat then total values
  else if (number =? 0)%nat then 0
  else
    let last := nth (number - 1) (descending (map upper_word values)) 0 in
    let taken := filter (fun value => last <? upper_word value) values in
    let wanted := (number - length taken)%nat in
    let kept := firstn wanted (descending (map (tied_word last) values)) in
    total taken + total kept + last * Z.of_nat wanted * WORD.

(** * Sorted lists *)

Lemma insert_commutes (one two : Z) (values : list Z) :
  insert one (insert two values) = insert two (insert one values).
Proof.
  destruct (Z.eq_dec one two) as [->|differ]; auto.
  induction values as [|first rest IH]; simpl;
    repeat (match goal with
            | |- context [?low <=? ?high] => destruct (Z.leb_spec low high)
            end; try lia; simpl);
    congruence.
Qed.

Lemma descending_of_permuted (some others : list Z) :
  Permutation some others -> descending some = descending others.
Proof.
  induction 1; simpl; try congruence.
  apply insert_commutes.
Qed.

Lemma descending_of_sorted (sorted : list Z) : StronglySorted descends sorted -> descending sorted = sorted.
Proof.
  induction 1 as [|first rest order IH below]; simpl; auto.
  rewrite IH; destruct rest as [|second rest]; simpl; auto.
  inversion below as [|? ? le]; subst; unfold descends in le.
  now destruct (Z.leb_spec second first); try lia.
Qed.

Lemma filter_permuted (chosen : Z -> bool) (some others : list Z) :
  Permutation some others -> Permutation (filter chosen some) (filter chosen others).
Proof.
  induction 1; simpl; auto.
  - destruct (chosen x); auto.
  - destruct (chosen x), (chosen y); auto; constructor.
  - eapply perm_trans; eauto.
Qed.

Lemma largest_sum_by_words_of_permuted (number : nat) (some others : list Z) :
  Permutation some others -> largest_sum_by_words number some = largest_sum_by_words number others.
Proof.
  intros same; unfold largest_sum_by_words.
  rewrite (Permutation_length same), (total_of_permuted _ _ same).
  destruct (_ <=? _)%nat; auto. destruct (_ =? _)%nat; auto.
  rewrite (descending_of_permuted _ _ (Permutation_map upper_word same)).
  set (last := nth _ _ 0).
  rewrite (descending_of_permuted _ _ (Permutation_map (tied_word last) same)).
  pose proof (filter_permuted (fun value => last <? upper_word value) _ _ same) as taken.
  now rewrite (Permutation_length taken), (total_of_permuted _ _ taken).
Qed.

(** * The last one taken *)

Lemma filter_of_none (chosen : Z -> bool) (values : list Z) :
  Forall (fun value => chosen value = false) values -> filter chosen values = [].
Proof. induction 1 as [|value values no _ IH]; simpl; auto. now rewrite no. Qed.

Lemma last_taken_is_between (position : nat) (uppers : list Z) :
  StronglySorted descends uppers -> (position < length uppers)%nat ->
  let last := nth position uppers 0 in
  (length (filter (Z.ltb last) uppers) <= position)%nat /\
  (position < length (filter (Z.ltb last) uppers) + length (filter (Z.eqb last) uppers))%nat.
Proof.
  intros order; revert position; induction order as [|first rest order IH below]; intros position inside;
    simpl in inside; [lia|].
  destruct position as [|position]; simpl.
  - rewrite Z.ltb_irrefl, Z.eqb_refl; simpl.
    rewrite (filter_of_none (Z.ltb first)); simpl; [lia|].
    apply Forall_impl with (2 := below); unfold descends; intros; apply Z.ltb_ge; lia.
  - specialize (IH position ltac:(lia)); simpl in IH.
    assert (nth position rest 0 <= first).
    { rewrite Forall_forall in below. apply below, nth_In; lia. }
    destruct (Z.ltb_spec (nth position rest 0) first), (Z.eqb_spec (nth position rest 0) first); simpl; lia.
Qed.

(** * A sorted list in three parts *)

Section Parts.
Variable last : Z.

Let above (value : Z) : bool := last <? upper_word value.
Let tied (value : Z) : bool := upper_word value =? last.

Lemma upper_word_grows (low high : Z) : low <= high -> upper_word low <= upper_word high.
Proof. intros; apply Z.div_le_mono; auto; reflexivity. Qed.

Lemma below_none_is_above (first : Z) (rest : list Z) :
  Forall (descends first) rest -> above first = false -> filter above rest = [].
Proof.
  intros below no; apply filter_of_none, Forall_impl with (2 := below); unfold above, descends in *.
  intros value le; apply Z.ltb_ge; apply Z.ltb_ge in no. pose proof (upper_word_grows _ _ le); lia.
Qed.

Lemma below_none_is_tied (first : Z) (rest : list Z) :
  Forall (descends first) rest -> above first = false -> tied first = false -> filter tied rest = [].
Proof.
  intros below no other; apply filter_of_none, Forall_impl with (2 := below).
  unfold above, tied, descends in *.
  intros value le; apply Z.eqb_neq; apply Z.eqb_neq in other; apply Z.ltb_ge in no.
  pose proof (upper_word_grows _ _ le); lia.
Qed.

Lemma first_are_those_above_and_some_tied (number : nat) (sorted : list Z) :
  StronglySorted descends sorted ->
  (length (filter above sorted) <= number)%nat ->
  (number <= length (filter above sorted) + length (filter tied sorted))%nat ->
  total (firstn number sorted) =
  total (filter above sorted) + total (firstn (number - length (filter above sorted)) (filter tied sorted)).
Proof.
  intros order; revert number; induction order as [|first rest order IH below]; intros number enough few.
  - now rewrite !firstn_nil.
  - simpl in *. destruct (above first) eqn:is_above.
    + simpl in *. destruct number as [|number]; [lia|].
      assert (not_tied : tied first = false).
      { unfold above, tied in *. apply Z.eqb_neq; apply Z.ltb_lt in is_above; lia. }
      rewrite not_tied in *. simpl. rewrite (IH number) by lia. lia.
    + rewrite (below_none_is_above first rest) in * by auto; simpl in *.
      rewrite Nat.sub_0_r in *.
      destruct (tied first) eqn:is_tied; simpl in *.
      * destruct number as [|number]; auto. simpl.
        rewrite (IH number) by lia. now rewrite Nat.sub_0_r.
      * rewrite (below_none_is_tied first rest) in few by auto; simpl in few.
        now replace number with 0%nat by lia.
Qed.

Lemma tied_are_last_and_lower (number : nat) (sorted : list Z) :
  (number <= length (filter tied sorted))%nat ->
  total (firstn number (filter tied sorted)) =
  total (firstn number (map lower_word (filter tied sorted))) + last * Z.of_nat number * WORD.
Proof.
  revert number; induction sorted as [|first rest IH]; intros number few; simpl in *.
  - rewrite firstn_nil; simpl. replace number with 0%nat by lia. simpl; lia.
  - destruct (tied first) eqn:is_tied; auto.
    destruct number as [|number]; simpl in *; [lia|].
    rewrite IH by lia. apply Z.eqb_eq in is_tied.
    pose proof (Z.div_mod first WORD ltac:(discriminate)) as parts.
    unfold upper_word, lower_word in *. rewrite is_tied in parts. lia.
Qed.

Lemma tied_words_are_not_negative (values : list Z) : none_negative (map (tied_word last) values).
Proof.
  induction values as [|value values IH]; constructor; auto; unfold tied_word, lower_word.
  pose proof (Z.mod_pos_bound value WORD ltac:(reflexivity)). destruct (_ =? _); lia.
Qed.

Lemma untied_count_for_nothing (number : nat) (values : list Z) :
  largest_sum number (map (tied_word last) values) = largest_sum number (map lower_word (filter tied values)).
Proof.
  revert number; induction values as [|value values IH]; intros number; simpl; auto.
  unfold tied_word at 1; fold (tied value). destruct (tied value) eqn:is_tied.
  - destruct number as [|number]; auto.
    pose proof (Z.mod_pos_bound value WORD ltac:(reflexivity)).
    cbn [map]; rewrite !largest_sum_step by (unfold lower_word; lia). now rewrite !IH.
  - rewrite largest_sum_without_zero by apply tied_words_are_not_negative. apply IH.
Qed.

Lemma lower_words_of_tied_are_sorted (sorted : list Z) :
  StronglySorted descends sorted -> StronglySorted descends (map lower_word (filter tied sorted)).
Proof.
  induction 1 as [|first rest order IH below]; simpl; [constructor|].
  destruct (tied first) eqn:is_tied; auto; simpl; constructor; auto.
  rewrite Forall_map, Forall_forall in *; unfold descends in *; intros value inside.
  apply filter_In in inside; destruct inside as [inside is_tied_too]; specialize (below _ inside).
  apply Z.eqb_eq in is_tied, is_tied_too; unfold upper_word, lower_word in *.
  pose proof (Z.div_mod first WORD ltac:(discriminate)).
  pose proof (Z.div_mod value WORD ltac:(discriminate)).
  rewrite is_tied, is_tied_too in *; lia.
Qed.

End Parts.

(** * What the code adds up is the sum of the largest *)

Lemma map_upper_word_is_sorted (sorted : list Z) :
  StronglySorted descends sorted -> StronglySorted descends (map upper_word sorted).
Proof.
  induction 1 as [|first rest order IH below]; simpl; constructor; auto.
  rewrite Forall_map. apply Forall_impl with (2 := below).
  unfold descends; intros; now apply upper_word_grows.
Qed.

Lemma length_of_filtered_map (chosen : Z -> bool) (word : Z -> Z) (values : list Z) :
  length (filter chosen (map word values)) = length (filter (fun value => chosen (word value)) values).
Proof. induction values as [|value values IH]; simpl; auto. destruct (chosen _); simpl; auto. Qed.

Lemma length_of_equal_filter (last : Z) (values : list Z) :
  length (filter (fun value => last =? upper_word value) values) =
  length (filter (fun value => upper_word value =? last) values).
Proof. f_equal. apply filter_ext; intros; apply Z.eqb_sym. Qed.

Lemma of_a_sorted_list (number : nat) (sorted : list Z) :
  StronglySorted descends sorted -> largest_sum_by_words number sorted = total (firstn number sorted).
Proof.
  intros order; unfold largest_sum_by_words.
  destruct (Nat.leb_spec (length sorted) number); [now rewrite firstn_all2|].
  destruct (Nat.eqb_spec number 0) as [->|some]; auto.
  pose proof (map_upper_word_is_sorted _ order) as uppers.
  rewrite (descending_of_sorted _ uppers).
  pose proof (last_taken_is_between (number - 1) _ uppers ltac:(rewrite map_length; lia)) as [few many].
  set (last := nth _ _ 0) in *.
  rewrite !length_of_filtered_map in *. rewrite length_of_equal_filter in many.
  fold (largest_sum (number - length (filter (fun value => last <? upper_word value) sorted))
          (map (tied_word last) sorted)).
  rewrite untied_count_for_nothing; unfold largest_sum.
  rewrite (descending_of_sorted _ (lower_words_of_tied_are_sorted last _ order)).
  rewrite <- Z.add_assoc, <- tied_are_last_and_lower by lia.
  symmetry; apply first_are_those_above_and_some_tied; auto; lia.
Qed.

Theorem choosing_by_words_adds_up_the_largest (number : nat) (values : list Z) :
  largest_sum_by_words number values = largest_sum number values.
Proof.
  rewrite (largest_sum_by_words_of_permuted number _ _ (descending_permutation values)).
  apply of_a_sorted_list, descending_sorted.
Qed.
