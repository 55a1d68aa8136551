(** Signed integers as digits in two's complement.

    Models how convergence_jax/exact/digits.py lays integers out: [from_int64], [to_ints] and what [normalize]
    promises (the residue of the value of its lanes; that it keeps the promise is not proved here). Proves
    that reading the residue of a number that fits gives the number back, so that a state whose sum fits its
    digits is presented as that sum. *)
From Coq Require Import ZArith List Lia.
From Convergence Require Import Constants.
Import ListNotations.
Open Scope Z_scope.

Definition BASE : Z := 2 ^ DIGIT_BITS.

Lemma base_is_positive : 0 < BASE.
Proof. reflexivity. Qed.

(** ** Digits *)

Definition is_digit (d : Z) : Prop := 0 <= d < BASE.

(** The unsigned reading, and the value of lanes. *)
Fixpoint value (digits : list Z) : Z :=
  match digits with
  | [] => 0
  | d :: rest => d + BASE * value rest
  end.

(** Whether the top bit is set, as the code takes it. *)
Definition sign (digits : list Z) : Z := Z.shiftr (last digits 0) (DIGIT_BITS - 1).

(** The signed reading, in two's complement. *)
Definition signed (digits : list Z) : Z := value digits - sign digits * BASE ^ Z.of_nat (length digits).

(** The digits of a residue: what [normalize] makes of lanes of value [n]. *)
Fixpoint residue (length : nat) (n : Z) : list Z :=
  match length with
  | O => []
  | S more => n mod BASE :: residue more (n / BASE)
  end.

(** [from_int64] *)
Definition from_int64 (x : Z) (length : nat) : list Z :=
  [Z.land x DIGIT_MASK; Z.land (Z.shiftr x DIGIT_BITS) DIGIT_MASK]
    ++ repeat (Z.land (Z.shiftr x (2 * DIGIT_BITS - 1)) DIGIT_MASK) (length - 2).

Definition fits_word (x : Z) : Prop := - 2 ^ (2 * DIGIT_BITS - 1) <= x < 2 ^ (2 * DIGIT_BITS - 1).

(** Whether [length] digits in two's complement hold a number. *)
Definition fits (length : nat) (x : Z) : Prop :=
  let bits := DIGIT_BITS * Z.of_nat length - 1 in - 2 ^ bits <= x < 2 ^ bits.

Lemma residue_length (n : nat) (x : Z) : length (residue n x) = n.
Proof. revert x. induction n; simpl; auto. Qed.

Lemma residue_digits (n : nat) (x : Z) : Forall is_digit (residue n x).
Proof.
  revert x. induction n; intros x; simpl; constructor; auto.
  apply Z.mod_pos_bound, base_is_positive.
Qed.

Lemma base_power (n : nat) : 0 < BASE ^ Z.of_nat n.
Proof. apply Z.pow_pos_nonneg; [reflexivity|lia]. Qed.

Lemma base_power_succ (n : nat) : BASE ^ Z.of_nat (S n) = BASE * BASE ^ Z.of_nat n.
Proof. rewrite Nat2Z.inj_succ, Z.pow_succ_r by lia. reflexivity. Qed.

Theorem residue_value (n : nat) (x : Z) : value (residue n x) = x mod BASE ^ Z.of_nat n.
Proof.
  revert x. induction n; intros x; cbn [residue value].
  - now rewrite Z.mod_1_r.
  - rewrite IHn, base_power_succ, Z.rem_mul_r; [reflexivity|discriminate|apply base_power].
Qed.

Lemma value_bounds (digits : list Z) :
  Forall is_digit digits -> 0 <= value digits < BASE ^ Z.of_nat (length digits).
Proof.
  induction 1 as [|d rest Hd _ IH]; cbn [value length]; [easy|].
  rewrite base_power_succ. unfold is_digit in Hd. nia.
Qed.

(** The top bit says whether the unsigned reading is in the upper half. *)
Lemma sign_spec (digits : list Z) :
  Forall is_digit digits -> digits <> [] ->
  sign digits = if 2 * value digits <? BASE ^ Z.of_nat (length digits) then 0 else 1.
Proof.
  intros Hdigits Hsome. unfold sign.
  induction Hdigits as [|d rest Hd Hrest IH]; [easy|].
  rewrite Z.shiftr_div_pow2 in * by discriminate. unfold is_digit in Hd.
  destruct rest as [|d' more].
  - cbn [last length value]. rewrite Z.mul_0_r, Z.add_0_r. change (BASE ^ Z.of_nat 1) with BASE.
    destruct (Z.ltb_spec (2 * d) BASE) as [H | H]; symmetry.
    + apply Z.div_unique_pos with d; [unfold BASE, DIGIT_BITS in *; lia|ring].
    + apply Z.div_unique_pos with (d - 2 ^ (DIGIT_BITS - 1)); unfold BASE, DIGIT_BITS in *; lia.
  - change (last (d :: d' :: more) 0) with (last (d' :: more) 0).
    rewrite IH by easy. set (r := d' :: more) in *. cbn [length value].
    rewrite base_power_succ.
    assert (exists half, BASE ^ Z.of_nat (length r) = 2 * half) as [half Hhalf].
    { unfold r. cbn [length]. rewrite base_power_succ. exists (2 ^ 31 * BASE ^ Z.of_nat (length more)).
      rewrite Z.mul_assoc. reflexivity. }
    rewrite Hhalf.
    destruct (Z.ltb_spec (2 * value r) (2 * half)),
      (Z.ltb_spec (2 * (d + BASE * value r)) (BASE * (2 * half)));
      try reflexivity; nia.
Qed.

(** Equal residues have equal digits: a state is canonical. *)
Theorem residue_is_canonical (n : nat) (x y : Z) :
  x mod BASE ^ Z.of_nat n = y mod BASE ^ Z.of_nat n -> residue n x = residue n y.
Proof.
  revert x y. induction n as [|n IH]; intros x y Hsame; [reflexivity|]. cbn [residue].
  rewrite base_power_succ in Hsame. pose proof (base_power n).
  rewrite !Z.rem_mul_r in Hsame by (discriminate || assumption).
  pose proof (Z.mod_pos_bound x BASE base_is_positive). pose proof (Z.mod_pos_bound y BASE base_is_positive).
  assert ((x / BASE) mod BASE ^ Z.of_nat n = (y / BASE) mod BASE ^ Z.of_nat n) as Hhigh.
  { revert Hsame. generalize ((x / BASE) mod BASE ^ Z.of_nat n) ((y / BASE) mod BASE ^ Z.of_nat n).
    intros u v Hsame. destruct (Z.lt_trichotomy u v) as [Hless | [-> | Hmore]]; [nia|reflexivity|nia]. }
  f_equal; [nia|]. apply IH. assumption.
Qed.

Lemma fits_in_halves (n : nat) (x : Z) :
  (0 < n)%nat -> fits n x -> - BASE ^ Z.of_nat n <= 2 * x < BASE ^ Z.of_nat n.
Proof.
  intros Hn Hx. unfold fits in Hx. unfold BASE. rewrite <- Z.pow_mul_r by (unfold DIGIT_BITS; lia).
  replace (DIGIT_BITS * Z.of_nat n) with (Z.succ (DIGIT_BITS * Z.of_nat n - 1)) by ring.
  rewrite Z.pow_succ_r by (unfold DIGIT_BITS; lia). lia.
Qed.

Theorem residue_of_what_fits (n : nat) (x : Z) : (0 < n)%nat -> fits n x -> signed (residue n x) = x.
Proof.
  intros Hn Hx. apply fits_in_halves in Hx; [|assumption].
  unfold signed. rewrite sign_spec; [|apply residue_digits|destruct n; [lia|easy]].
  rewrite residue_length, residue_value. pose proof (base_power n).
  destruct (Z.lt_ge_cases x 0).
  - rewrite <- (Z.mod_unique_pos x _ (-1) (x + BASE ^ Z.of_nat n)) by lia.
    destruct (Z.ltb_spec (2 * (x + BASE ^ Z.of_nat n)) (BASE ^ Z.of_nat n)); lia.
  - rewrite Z.mod_small by lia. destruct (Z.ltb_spec (2 * x) (BASE ^ Z.of_nat n)); lia.
Qed.

Lemma residue_of_sign (n : nat) (x : Z) : -1 <= x <= 0 -> residue n x = repeat (x mod BASE) n.
Proof.
  intros Hx. induction n; [reflexivity|]. cbn [residue repeat]. f_equal.
  replace (x / BASE) with x; [exact IHn|].
  assert (x = -1 \/ x = 0) as [-> | ->] by lia; reflexivity.
Qed.

Lemma low_digit (x : Z) : Z.land x DIGIT_MASK = x mod BASE.
Proof. change DIGIT_MASK with (Z.ones DIGIT_BITS). now rewrite Z.land_ones. Qed.

Theorem from_int64_is_the_residue (x : Z) (n : nat) :
  fits_word x -> (2 <= n)%nat -> from_int64 x n = residue n x.
Proof.
  intros Hx Hn. destruct n as [|[|n]]; [lia..|]. unfold from_int64. cbn [residue app].
  rewrite !low_digit, !Z.shiftr_div_pow2 by discriminate. fold BASE. f_equal. f_equal.
  rewrite residue_of_sign.
  - replace (S (S n) - 2)%nat with n by lia. f_equal. f_equal.
    rewrite Z.div_div by easy. unfold fits_word in Hx.
    destruct (Z.lt_ge_cases x 0).
    + replace (x / 2 ^ (2 * DIGIT_BITS - 1)) with (-1).
      * apply Z.div_unique_pos with (x + BASE * BASE); unfold BASE, DIGIT_BITS in *; lia.
      * apply Z.div_unique_pos with (x + 2 ^ (2 * DIGIT_BITS - 1)); unfold DIGIT_BITS in *; lia.
    + rewrite !Z.div_small; unfold BASE, DIGIT_BITS in *; lia.
  - rewrite Z.div_div by easy. unfold fits_word, DIGIT_BITS, BASE in *. split.
    + apply Z.div_le_lower_bound; unfold DIGIT_BITS in *; lia.
    + assert (x / (2 ^ DIGIT_BITS * 2 ^ DIGIT_BITS) < 1); [|lia].
      apply Z.div_lt_upper_bound; unfold DIGIT_BITS in *; lia.
Qed.
