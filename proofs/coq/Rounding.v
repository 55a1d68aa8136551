(** The one rounding of an answer, as specified.

    Models convergence_jax.exact.rounding.round_digits to nearest by its specification, Flocq's rounding of
    the signed value; RoundedDigits.v proves that the code's own integer algorithm assembles the same bits.

    Proves: the bits read back as the correctly rounded value. *)
From Coq Require Import ZArith List Lia Reals Bool.
From Flocq Require Import Core IEEE754.BinarySingleNaN IEEE754.Binary IEEE754.Bits.
From Convergence Require Import Constants Residues Floats.
Import ListNotations.
Open Scope Z_scope.

Section Format.
Variables bits width : Z.
Hypothesis bits_positive : 0 < bits.
Hypothesis width_positive : 0 < width.
Hypothesis range_suffices : bits + 1 < 2 ^ (width - 1).

Lemma precision_positive : Prec_gt_0 (bits + 1).
Proof using bits_positive. clear - bits_positive. red. lia. Qed.

Definition correctly_rounded (v exponent : Z) : binary_float (bits + 1) (2 ^ (width - 1)) :=
  binary_normalize _ _ precision_positive range_suffices mode_NE v exponent false.

Definition round_digits (l : list Z) (exponent : Z) : Z :=
  bits_of_binary_float bits width (correctly_rounded (signed l) exponent).

Lemma round_digits_is_correct : forall l exponent,
  float_of_bits bits width bits_positive width_positive range_suffices (round_digits l exponent)
  = correctly_rounded (signed l) exponent.
Proof.
  intros. unfold float_of_bits, round_digits.
  apply (binary_float_of_bits_of_binary_float bits width bits_positive width_positive range_suffices).
Qed.
End Format.
