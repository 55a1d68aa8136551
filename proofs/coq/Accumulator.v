(** The state of an exact sum: digits, and three counters of what no integer can hold.

    Models convergence_jax.exact.superaccumulator: [AccumulatorState], and [Superaccumulator] with [empty],
    [lift], [merge], [remove] and [present].

    Proves: the states are a commutative group, and a plan over lifts stands for its net integer and its net
    counts, whatever wraps around on the way. *)
From Coq Require Import ZArith List Lia Reals Bool Permutation.
From Convergence Require Import Constants Residues Plans Floats Rounding.
Import ListNotations.
Open Scope Z_scope.

(** ** The group of states *)

Definition residues (L : nat) : Group.
Proof.
  refine {|
    carrier := list Z;
    member := canonical L;
    empty := zero L;
    merge := add;
    remove := subtract;
    merge_member := add_canonical L;
    remove_member := subtract_canonical L;
    merge_comm := add_commutative L;
    merge_assoc := add_associative L;
    merge_empty := add_zero L;
    remove_merge := subtract_undoes_add L;
    merge_remove := add_undoes_subtract L;
  |}.
  rewrite zero_digits. apply digits_canonical.
Defined.

(** [AccumulatorState]: digits, NaN, plus infinity, minus infinity. *)
Definition accumulator (L : nat) : Group :=
  product (residues L) (product counters (product counters counters)).

(** [Terms], one of them. *)
Record term := Term {
  placed : list Z * Z;
  nan : bool;
  pos_inf : bool;
  neg_inf : bool;
}.

Definition count (b : bool) : Z := if b then 1 else 0.

(** [lift]. *)
Definition lift (L : nat) (t : term) : carrier (accumulator L) :=
  (lift_placed L (placed t), (count (nan t), (count (pos_inf t), count (neg_inf t)))).

(** [terms]: the flags as [_place] makes them. *)
Definition term_of (words : list Z) (d : decoded) : term :=
  let minus := negb (sign d =? 0) in
  Term (place words (sign d) (position d)) (is_not_a_number d)
    (is_infinite d && negb minus) (is_infinite d && minus).

Definition float32_term (x : Z) : term := let d := decode32 x in term_of (words_of_float32 (mantissa d)) d.
Definition float64_term (x : Z) : term := let d := decode64 x in term_of (words_of_float64 (mantissa d)) d.

(** [present]: the bits of the answer, in a format of [bits] and [width]. *)
Definition infinity_bits (bits width : Z) (negative : bool) : Z :=
  Z.shiftl (2 ^ width - 1) bits + (if negative then Z.shiftl 1 (bits + width) else 0).
Definition nan_bits (bits width : Z) : Z := Z.shiftl (2 ^ width - 1) bits + Z.shiftl 1 (bits - 1).

Definition present (bits width : Z) (rounded : list Z -> Z) (s : list Z * (Z * (Z * Z))) : Z :=
  let '(l, (not_numbers, (plus, minus))) := s in
  let value := rounded l in
  let value := if 0 <? plus then infinity_bits bits width false else value in
  let value := if 0 <? minus then infinity_bits bits width true else value in
  let wrong := negb (not_numbers =? 0) || (plus <? 0) || (minus <? 0) || ((0 <? plus) && (0 <? minus)) in
  if wrong then nan_bits bits width else value.

(** ** What a plan of lifts holds *)

Section Plans.
Context {O : Type}.
Variable L : nat.
Variable valid : O -> Prop.
Variable term_at : O -> term.
Variable integer : O -> Z.
Hypothesis placed_holds_integer : forall x, valid x ->
  lift_placed L (placed (term_at x)) = digits L (integer x).

Definition nans (p : plan O) : Z := net (fun x => count (nan (term_at x))) p.
Definition plus_infinities (p : plan O) : Z := net (fun x => count (pos_inf (term_at x))) p.
Definition minus_infinities (p : plan O) : Z := net (fun x => count (neg_inf (term_at x))) p.

Definition state_of (p : plan O) : carrier (accumulator L) :=
  run (accumulator L) (fun x => lift L (term_at x)) p.

Lemma lift_member : forall x, member (accumulator L) (lift L (term_at x)).
Proof using Type.
  assert (C : forall b, - 2 ^ 63 <= count b < 2 ^ 63) by (destruct b; cbn; lia).
  intros x. cbn. repeat split; try apply C.
  - unfold lift_placed. rewrite normalize_is_digits_of_value, digits_length. unfold lanes_of.
    rewrite firstn_length, !app_length, !repeat_length. lia.
  - unfold lift_placed. rewrite normalize_is_digits_of_value. apply digits_canonical.
Qed.

Lemma counter_of_plan : forall (flag : O -> bool) p,
  run counters (fun x => count (flag x)) p = wrap64 (net (fun x => count (flag x)) p).
Proof using Type.
  intros flag p. rewrite <- a_counter_counts_modulo_two_to_the_64.
  induction p as [| x | p IHp q IHq | p IHp q IHq]; cbn [run]; rewrite ?IHp, ?IHq; try reflexivity.
  destruct (flag x); reflexivity.
Qed.

(** The whole state, where digits and counters wrapped around as often as they liked. *)
Theorem a_state_is_the_net_sum : forall p, Forall valid (merged p) -> Forall valid (removed p) ->
  state_of p = (digits L (net integer p),
    (wrap64 (nans p), (wrap64 (plus_infinities p), wrap64 (minus_infinities p)))).
Proof using placed_holds_integer.
  intros p Vm Vr. unfold state_of, accumulator, lift.
  rewrite !run_product, !counter_of_plan. f_equal.
  apply (a_plan_stands_for_its_net_integer (residues L) (digits L)) with (valid := valid); try assumption.
  - symmetry. apply zero_digits.
  - intros. apply add_of_digits.
  - intros. apply subtract_of_digits.
Qed.

Theorem equal_net_observations_have_equal_states : forall p q,
  Permutation (merged p ++ removed q) (merged q ++ removed p) -> state_of p = state_of q.
Proof using Type. intros. apply plans_with_equal_net_observations_agree; [apply lift_member | assumption].
Qed.
End Plans.
