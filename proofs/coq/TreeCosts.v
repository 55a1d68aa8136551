(** What trees cost: merges and depth of a roll-up, and merges of a change in place.

    Models the loop of [_tree] of convergence_jax/hierarchy/fold.py (groups of [arity] states, filled up with
    the identity, folded level by level), [by_size] and [Tree.merges] of hierarchy/tree.py, and the counts of
    merges that [LiveTree] of hierarchy/update.py keeps ([_merges_by_level] and the paths of small batches).

    Proves that the depth is [ceil(log(n) / log(arity))]; that a roll-up takes [n - 1] merges where those with
    an identity are not counted, and less than [arity] more a level where they are; that [Tree.merges] is at
    most [2 * n - 2 + depth]; and that an update of one agent takes [2 * levels] merges, hence [n] of them
    [O(n log n)] and not [O(n^2)]. *)
From Coq Require Import ZArith List Arith Lia.
Import ListNotations.

(** [-(-n // arity)] *)
Definition parents (arity n : nat) : nat := (n + arity - 1) / arity.

(** The sizes of the levels after the first, as the loops of [_tree] and [by_size] make them. *)
Fixpoint sizes_above (fuel arity n : nat) : list nat :=
  match fuel with
  | O => []
  | S less => if n <=? 1 then [] else parents arity n :: sizes_above less arity (parents arity n)
  end.

Definition levels_above (arity n : nat) : list nat := sizes_above n arity n.
Definition depth (arity n : nat) : nat := length (levels_above arity n).

Lemma parents_shrink (arity n : nat) : 2 <= arity -> 2 <= n -> 1 <= parents arity n < n.
Proof.
  intros Harity Hn. unfold parents. split.
  - apply Nat.div_le_lower_bound; lia.
  - apply Nat.div_lt_upper_bound; [lia|]. nia.
Qed.

(** [parents arity n] is the least number of groups that hold [n]. *)
Lemma parents_spec (arity n groups : nat) : 1 <= arity -> (parents arity n <= groups <-> n <= groups * arity).
Proof.
  intros Harity. unfold parents. split; intros H.
  - pose proof (Nat.div_mod (n + arity - 1) arity ltac:(lia)).
    pose proof (Nat.mod_upper_bound (n + arity - 1) arity ltac:(lia)). nia.
  - apply Nat.lt_succ_r, Nat.div_lt_upper_bound; [lia|]. lia.
Qed.

Lemma enough_fuel (arity fuel n : nat) :
  2 <= arity -> n <= fuel -> sizes_above fuel arity n = levels_above arity n.
Proof.
  intros Harity. unfold levels_above.
  assert (forall f g m, m <= f -> m <= g -> sizes_above f arity m = sizes_above g arity m) as Hsame.
  { induction f as [|f IH]; intros [|g] m Hf Hg; cbn [sizes_above]; try reflexivity.
    - destruct (Nat.leb_spec m 1); [reflexivity|lia].
    - destruct (Nat.leb_spec m 1); [reflexivity|lia].
    - destruct (Nat.leb_spec m 1); [reflexivity|]. f_equal.
      pose proof (parents_shrink arity m Harity ltac:(lia)). apply IH; lia. }
  intros H. apply Hsame; lia.
Qed.

Lemma levels_step (arity n : nat) :
  2 <= arity -> 2 <= n -> levels_above arity n = parents arity n :: levels_above arity (parents arity n).
Proof.
  intros Harity Hn. unfold levels_above at 1. destruct n as [|n]; [lia|]. cbn [sizes_above].
  destruct (Nat.leb_spec (S n) 1); [lia|]. f_equal. apply enough_fuel; [assumption|].
  pose proof (parents_shrink arity (S n) Harity Hn). lia.
Qed.

Lemma depth_step (arity n : nat) :
  2 <= arity -> 2 <= n -> depth arity n = S (depth arity (parents arity n)).
Proof. intros Harity Hn. unfold depth. now rewrite levels_step. Qed.

Lemma depth_of_one (arity n : nat) : n <= 1 -> depth arity n = 0.
Proof. intros H. unfold depth, levels_above. destruct n as [|[|n]]; [reflexivity|reflexivity|lia]. Qed.

(** The depth is the least [d] with [n <= arity^d]: [ceil(log(n) / log(arity))]. *)
Theorem depth_is_the_logarithm (arity n d : nat) :
  2 <= arity -> 1 <= n -> (depth arity n <= d <-> n <= arity ^ d).
Proof.
  intros Harity. revert d. induction n as [n IH] using (well_founded_induction lt_wf). intros d Hn.
  destruct (Nat.le_gt_cases n 1) as [Hone | Hmore].
  - rewrite depth_of_one by assumption. split; intros _; [|lia].
    pose proof (Nat.pow_nonzero arity d ltac:(lia)). lia.
  - rewrite depth_step by lia. pose proof (parents_shrink arity n Harity Hmore) as Hshrink.
    destruct d as [|d].
    + cbn. lia.
    + rewrite <- Nat.succ_le_mono, IH by lia. rewrite parents_spec by lia. rewrite Nat.pow_succ_r'.
      now rewrite Nat.mul_comm.
Qed.

Corollary depth_of_two_is_the_binary_logarithm (n : nat) : 1 <= n -> depth 2 n = Nat.log2_up n.
Proof.
  intros Hn. apply Nat.le_antisymm.
  - apply depth_is_the_logarithm; [lia|assumption|]. destruct (Nat.eq_dec n 1) as [-> | H]; [cbn; lia|].
    apply Nat.log2_log2_up_spec. lia.
  - apply Nat.log2_up_le_pow2; [lia|]. now apply depth_is_the_logarithm.
Qed.

(** ** Merges of a roll-up *)

(** Merges of one level where a group of [k] states takes [k - 1] merges and no identity is merged. *)
Definition merges_of_level (n groups : nat) : nat := n - groups.

Fixpoint merges_through (n : nat) (levels : list nat) : nat :=
  match levels with
  | [] => 0
  | groups :: above => merges_of_level n groups + merges_through groups above
  end.

Theorem roll_up_merges_n_minus_one (arity n : nat) :
  2 <= arity -> 1 <= n -> merges_through n (levels_above arity n) = n - 1.
Proof.
  intros Harity. induction n as [n IH] using (well_founded_induction lt_wf). intros Hn.
  destruct (Nat.le_gt_cases n 1) as [Hone | Hmore].
  - replace n with 1 by lia. reflexivity.
  - pose proof (parents_shrink arity n Harity Hmore). rewrite levels_step by lia. cbn [merges_through].
    rewrite IH by lia. unfold merges_of_level. lia.
Qed.

(** What [_fold_children] really does: [arity - 1] merges for every group, filled-up ones included. *)
Fixpoint merges_with_identities (arity : nat) (levels : list nat) : nat :=
  match levels with
  | [] => 0
  | groups :: above => (arity - 1) * groups + merges_with_identities arity above
  end.

Theorem identities_cost_less_than_arity_a_level (arity n : nat) :
  2 <= arity -> 1 <= n ->
  n - 1 <= merges_with_identities arity (levels_above arity n) <= n - 1 + (arity - 1) * depth arity n.
Proof.
  intros Harity. induction n as [n IH] using (well_founded_induction lt_wf). intros Hn.
  destruct (Nat.le_gt_cases n 1) as [Hone | Hmore].
  - replace n with 1 by lia. cbn. lia.
  - pose proof (parents_shrink arity n Harity Hmore) as Hshrink. rewrite depth_step, levels_step by lia.
    cbn [merges_with_identities]. specialize (IH (parents arity n) ltac:(lia) ltac:(lia)).
    assert (n <= parents arity n * arity <= n + arity - 1) as Hgroups.
    { split; [apply parents_spec; lia|]. unfold parents. rewrite Nat.mul_comm. apply Nat.mul_div_le. lia. }
    nia.
Qed.

(** The docstring of [reduce] says "[n - 1] merges at most": that counts no identities. Nine states in groups
    of eight take 21 merges, 13 of them with an identity. *)
Example identities_are_merged : merges_with_identities 8 (levels_above 8 9) = 21.
Proof. reflexivity. Qed.

(** ** [by_size] and [Tree.merges] *)

(** Sizes of [by_size], fine to coarse: one level of groups even for one agent. *)
Definition by_size (arity agents : nat) : list nat :=
  parents arity agents :: levels_above arity (parents arity agents).

Definition levels (arity agents : nat) : nat := length (by_size arity agents).

Definition total_of (l : list nat) : nat := fold_right Nat.add 0 l.

(** [Tree.merges]: one for each agent, and one for each group below the root, which is the last here. *)
Definition tree_merges (arity agents : nat) : nat := agents + total_of (removelast (by_size arity agents)).

Lemma levels_are_the_depth (arity agents : nat) :
  2 <= arity -> 2 <= agents -> levels arity agents = depth arity agents.
Proof. intros. unfold levels, by_size, depth. now rewrite (levels_step arity agents). Qed.

Lemma last_level_is_the_root (arity n : nat) :
  2 <= arity -> 2 <= n -> last (levels_above arity n) 0 = 1.
Proof.
  intros Harity. induction n as [n IH] using (well_founded_induction lt_wf). intros Hn.
  pose proof (parents_shrink arity n Harity Hn) as Hshrink. rewrite levels_step by lia.
  destruct (Nat.le_gt_cases (parents arity n) 1) as [Hone | Hmore].
  - replace (parents arity n) with 1 by lia. reflexivity.
  - specialize (IH (parents arity n) ltac:(lia) ltac:(lia)). rewrite levels_step in * by lia. exact IH.
Qed.

Lemma identities_by_total (arity : nat) (l : list nat) :
  merges_with_identities arity l = (arity - 1) * total_of l.
Proof.
  induction l as [|groups above IH]; cbn [merges_with_identities total_of fold_right]; [lia|].
  fold (total_of above). rewrite IH. lia.
Qed.

Lemma total_of_app (l m : list nat) : total_of (l ++ m) = total_of l + total_of m.
Proof. unfold total_of. induction l as [|x rest IH]; cbn; lia. Qed.

(** A roll-up grows with the number of agents: [n] merges and at most [(n - 1) / (arity - 1) + depth] more. *)
Theorem tree_merges_grow_with_the_agents (arity agents : nat) :
  2 <= arity -> 2 <= agents ->
  agents <= tree_merges arity agents
  /\ (arity - 1) * (tree_merges arity agents + 1) <= arity * agents - 1 + (arity - 1) * depth arity agents.
Proof.
  intros Harity Hagents. unfold tree_merges. split; [lia|].
  assert (by_size arity agents = levels_above arity agents) as -> by
    (unfold by_size; now rewrite (levels_step arity agents)).
  pose proof (identities_cost_less_than_arity_a_level arity agents Harity ltac:(lia)) as [_ Hcost].
  rewrite identities_by_total in Hcost.
  assert (levels_above arity agents <> []) as Hsome by (rewrite levels_step by assumption; easy).
  rewrite (app_removelast_last 0 Hsome), last_level_is_the_root, total_of_app in Hcost by assumption.
  cbn [total_of fold_right] in Hcost. nia.
Qed.

Corollary tree_merges_are_at_most_two_an_agent (arity agents : nat) :
  2 <= arity -> 2 <= agents -> tree_merges arity agents + 2 <= 2 * agents + depth arity agents.
Proof.
  intros Harity Hagents. destruct (tree_merges_grow_with_the_agents arity agents Harity Hagents) as [_ H].
  set (merges := tree_merges arity agents) in *. set (d := depth arity agents) in *.
  destruct arity as [|[|more]]; [lia..|]. cbn [Nat.sub] in H.
  apply Nat.nlt_ge. intros Hless.
  assert (S more * (2 * agents + d) <= S more * (merges + 1)) by (apply Nat.mul_le_mono_l; lia). nia.
Qed.

(** ** Changes in place *)

(** A batch of up to [_PATH_ROWS] agents: one removal and one merge for each agent at each level of its path.
    *)
Definition path_merges (batch levels : nat) : nat := 2 * batch * levels.

(** [_merges_by_level], on sizes from fine to coarse. *)
Fixpoint merges_upwards (batch : nat) (sizes : list nat) : nat :=
  match sizes with
  | [] => 0
  | size :: above => batch + merges_upwards (Nat.min batch size) above
  end.
Definition level_merges (batch : nat) (sizes : list nat) : nat := batch + merges_upwards batch sizes.

Theorem depth_is_at_most_binary (arity n : nat) : 2 <= arity -> 1 <= n -> depth arity n <= Nat.log2_up n.
Proof.
  intros Harity Hn. apply depth_is_the_logarithm; [assumption|assumption|].
  apply Nat.le_trans with (2 ^ Nat.log2_up n).
  - destruct (Nat.eq_dec n 1) as [-> | H]; [cbn; lia|]. apply Nat.log2_log2_up_spec. lia.
  - apply Nat.pow_le_mono_l. assumption.
Qed.

(** Updates of single agents, [n] of them: [O(n log n)] merges. *)
Theorem updates_of_all_agents (arity n : nat) :
  2 <= arity -> 2 <= n -> n * path_merges 1 (levels arity n) <= 2 * n * Nat.log2_up n.
Proof.
  intros Harity Hn. unfold path_merges. rewrite levels_are_the_depth by assumption.
  pose proof (depth_is_at_most_binary arity n Harity ltac:(lia)). nia.
Qed.

(** A larger batch is never more than single updates of its agents, nor than a roll-up and its removals. *)
Theorem batches_are_cheaper (batch : nat) (sizes : list nat) :
  sizes <> [] ->
  level_merges batch sizes <= path_merges batch (length sizes)
  /\ level_merges batch sizes <= 2 * batch + total_of (removelast sizes).
Proof.
  intros Hsome. unfold level_merges, path_merges.
  assert (forall b, merges_upwards b sizes <= b * length sizes) as Hlevels.
  { clear Hsome. induction sizes as [|size above IH]; intros b; cbn [merges_upwards length]; [lia|].
    specialize (IH (Nat.min b size)). nia. }
  assert (forall b, merges_upwards b sizes <= b + total_of (removelast sizes)) as Htotal.
  { clear Hlevels. induction sizes as [|size above IH]; [easy|]. intros b. cbn [merges_upwards].
    destruct above as [|next more]; [cbn; lia|].
    specialize (IH ltac:(easy) (Nat.min b size)). cbn [removelast total_of fold_right] in *.
    fold (total_of (removelast (next :: more))) in *. lia. }
  specialize (Hlevels batch). specialize (Htotal batch).
  destruct sizes as [|size above]; [easy|]. cbn [length] in *. split; [nia|lia].
Qed.

(** Not [O(n^2)]: whatever the factor, [n * n] exceeds [n log n] from some [n] on. *)
Theorem updates_are_not_quadratic (factor : nat) :
  exists start, forall arity n, 2 <= arity -> start <= n ->
  factor * (n * path_merges 1 (levels arity n)) < n * n.
Proof.
  set (k := 4 * factor + 1). exists (2 ^ (2 * k + 1)). intros arity n Harity Hn.
  assert (2 <= n) as Htwo.
  { apply Nat.le_trans with (2 := Hn). change 2 with (2 ^ 1) at 1. apply Nat.pow_le_mono_r; lia. }
  pose proof (updates_of_all_agents arity n Harity Htwo) as Hupdates.
  pose proof (Nat.log2_up_le_mono _ _ Hn) as Hlog. rewrite Nat.log2_up_pow2 in Hlog by lia.
  destruct (Nat.log2_up_spec n ltac:(lia)) as [Hbelow _].
  set (m := Nat.log2_up n) in *.
  assert (exists j, Nat.pred m = k + j /\ k <= j) as (j & Hj & Hkj) by (exists (Nat.pred m - k); lia).
  rewrite Hj, Nat.pow_add_r in Hbelow.
  assert (k < 2 ^ k) by (apply Nat.pow_gt_lin_r; lia).
  assert (j < 2 ^ j) by (apply Nat.pow_gt_lin_r; lia).
  assert (2 * factor * m < n) as Hfactor.
  { apply Nat.le_lt_trans with (2 := Hbelow). replace m with (k + j + 1) by lia.
    apply Nat.le_trans with (k * (j + 1)); [unfold k; nia|]. apply Nat.mul_le_mono; lia. }
  apply Nat.le_lt_trans with (factor * (2 * n * m)); [now apply Nat.mul_le_mono_l|]. nia.
Qed.
