(** The definitions of the proofs as a program: what the theorems speak of, run beside the code.

    Nothing is proved here. Every answer is put together from the definitions that the theorems name, whole:
    [state] and [present_as] of [sums_are_correctly_rounded], and so on. Integers become those
    of zarith; bits, powers and logarithms of Coq's integers become zarith's too, as the standard library maps
    sums, products, quotients and shifts. *)
From Coq Require Import ZArith List Extraction ExtrOcamlBasic ExtrOcamlZBigInt.
From Flocq Require Import Core IEEE754.BinarySingleNaN IEEE754.Binary IEEE754.Bits.
From Convergence Require Constants Plans Floats Rounding ExactSums ExactProducts.
Import ExactSums (format(..)).
From Convergence Require NearestInteger FixedPoint Moments PresentedMoments Liars FixedReals Exp Ln.
(** Written by run.py from Constants.v: tables as numerals that OCaml's compiler can take. *)
From Convergence Require Literals.
Import ListNotations.
Open Scope Z_scope.

Extract Constant Z.land => "Z.logand".
Extract Constant Z.lor => "Z.logor".
Extract Constant Z.lxor => "Z.logxor".

(** ** Exact sums *)

(** Everything in [merged] is merged, then everything in [removed] is removed, one after the other. *)
Definition plan_of {O : Type} (merged removed : list O) : Plans.plan O :=
  fold_left (fun p x => Plans.Remove p (Plans.Observe x)) removed
    (fold_left (fun p x => Plans.Merge p (Plans.Observe x)) merged Plans.Empty).

(** Digits; counts of NaN, plus and minus infinity; the bits of the answer as float64 and as float32. *)
Definition sum_answer : Type := (list Z * (Z * (Z * Z))) * (Z * Z).

Definition with_answers (unit : Z) (state : list Z * (Z * (Z * Z))) : sum_answer :=
  (state, (ExactSums.present_as Float64 unit state, ExactSums.present_as Float32 unit state)).

Definition sum (f : format) (merged removed : list Z) : sum_answer :=
  with_answers (ExactSums.lsb f) (ExactSums.state f (plan_of merged removed)).
Definition float32_sum : list Z -> list Z -> sum_answer := sum Float32.
Definition float64_sum : list Z -> list Z -> sum_answer := sum Float64.

Definition product_sum (f : format) (merged removed : list (Z * Z)) : sum_answer :=
  with_answers (ExactProducts.product_lsb f) (ExactProducts.product_state f (plan_of merged removed)).
Definition float32_product_sum : list (Z * Z) -> list (Z * Z) -> sum_answer := product_sum Float32.
Definition float64_product_sum : list (Z * Z) -> list (Z * Z) -> sum_answer := product_sum Float64.

(** ** Moments *)

(** The float64 that a mantissa and an exponent stand for: exact, or infinite. *)
Definition bits_of_rounded (rounded : Z * Z) : Z :=
  bits_of_b64 (Rounding.correctly_rounded 52 11 eq_refl eq_refl (fst rounded) (snd rounded)).

Definition moments_state (wide : bool) (features : nat) (merged removed : list (list Z)) : Moments.state :=
  let one := Moments.from_ticks wide features true in
  fold_left (fun s x => Moments.remove s (one x)) removed
    (fold_left (fun s x => Moments.merge s (one x)) merged (Moments.empty wide features)).

(** Count, the digits of sums and of sums of products, and the bits of means and covariances. *)
Definition moments_answer (scales ranges : list Z) (merged removed : list (list Z))
  : (Z * (list (list Z) * list (list Z))) * (list Z * list Z) :=
  let wide := existsb (fun lift => FixedPoint.is_wide (fst lift) (snd lift)) (combine scales ranges) in
  let features := length scales in
  let state := moments_state wide features merged removed in
  let (means, covariances) := PresentedMoments.present features (fun i => nth i scales 0) state in
  ((Moments.count state, (Moments.sums state, Moments.products state)),
   (map bits_of_rounded means, map bits_of_rounded covariances)).

(** ** The declared lift *)

(** Ticks and whether the value is held, of the bits of a float64. *)
Definition lift_answer (scale range bits : Z) : Z * bool :=
  FixedPoint.lift scale range (B2BSN 53 1024 (b64_of_bits bits)).

(** ** Bounds under liars, exponentials, logarithms *)

Definition liars_answer (liars : nat) (said : list Z) : Z * Z :=
  (Liars.lower said liars, Liars.upper said liars).
Definition exp_answer (whole fraction : Z) : Z * Z := Exp.exp_word (whole, fraction).
Definition ln_answer (exponent mantissa : Z) : Z * Z := Ln.ln_word exponent mantissa.

Extraction Language OCaml.
Extraction "definitions.ml" float32_sum float64_sum float32_product_sum float64_product_sum moments_answer
  lift_answer liars_answer exp_answer ln_answer.
