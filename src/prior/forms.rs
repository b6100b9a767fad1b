//! The functional forms of docs/model-format.md: energy of one term and its gradient.
//!
//! A term sees its atoms through the vectors that join them (a bond's one, an angle's two from the middle atom, a
//! dihedral's three along the chain) and answers with the derivative of its energy by each. Parameters come in the
//! order of [`crate::model::PriorKind::parameters`], then the series.
//!
//! Dihedral gradients: A. Blondel, M. Karplus, J. Comput. Chem. 17, 1132 (1996), which have no singularity at φ = 0 or π.

use std::f64::consts::TAU;

use super::geometry::{Vector, combine, cross, dot, scale};

/// Energy of a term and its derivative by each of its vectors.
pub(super) type Term<const V: usize> = Result<(f64, [Vector; V]), Degenerate>;

/// Where a term has no value or no force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Degenerate {
    /// The vector of this number has no length.
    Coincident(usize),
    /// Three atoms lie on a line.
    Collinear,
}

/// sin² of the angle in a dihedral below which three of its atoms count as being on a line: rounding then decides φ.
const COLLINEAR: f64 = 1e-20;

#[inline]
pub(super) fn harmonic_bond([d]: [Vector; 1], p: &[f64]) -> Term<1> {
    let r = length(d, 0)?;
    let (energy, slope) = harmonic(r - p[1], p);
    Ok((energy, [scale(slope / r, d)]))
}

/// (σ / r)⁶
#[inline]
pub(super) fn repulsion([d]: [Vector; 1], p: &[f64]) -> Term<1> {
    let square = square(d, 0)?;
    let ratio = p[0] * p[0] / square;
    let energy = ratio * ratio * ratio;
    Ok((energy, [scale(-6.0 * energy / square, d)]))
}

/// a exp(−b r)
#[inline]
pub(super) fn exponential_repulsion([d]: [Vector; 1], p: &[f64]) -> Term<1> {
    let r = length(d, 0)?;
    let energy = p[0] * (-p[1] * r).exp();
    Ok((energy, [scale(-p[1] * energy / r, d)]))
}

#[inline]
pub(super) fn harmonic_angle_cos(vectors: [Vector; 2], p: &[f64]) -> Term<2> {
    let angle = Angle::new(vectors)?;
    let (energy, slope) = harmonic(angle.cosine - p[1], p);
    Ok((energy, angle.by_cosine(slope)))
}

#[inline]
pub(super) fn harmonic_angle(vectors: [Vector; 2], p: &[f64]) -> Term<2> {
    let angle = Angle::new(vectors)?;
    let (energy, slope) = harmonic(angle.theta() - p[1], p);
    Ok((energy, angle.by_theta(slope)))
}

/// a θ⁴ + b θ³ + c θ² + d θ + v0
#[inline]
pub(super) fn quartic_angle(vectors: [Vector; 2], p: &[f64]) -> Term<2> {
    let angle = Angle::new(vectors)?;
    let t = angle.theta();
    let energy = (((p[0] * t + p[1]) * t + p[2]) * t + p[3]) * t + p[4];
    let slope = ((4.0 * p[0] * t + 3.0 * p[1]) * t + 2.0 * p[2]) * t + p[3];
    Ok((energy, angle.by_theta(slope)))
}

/// k (cos θ − x0)² / sin² θ + v0
#[inline]
pub(super) fn restricted_bending(vectors: [Vector; 2], p: &[f64]) -> Term<2> {
    let angle = Angle::new(vectors)?;
    let square = angle.sine * angle.sine;
    if square == 0.0 {
        return Err(Degenerate::Collinear);
    }
    let away = angle.cosine - p[1];
    let ratio = p[0] * away / square;
    let slope = 2.0 * ratio * (1.0 + away * angle.cosine / square);
    Ok((ratio * away + p[2], angle.by_cosine(slope)))
}

/// v0 + Σₙ (sin_n sin nφ + cos_n cos nφ); parameters v0, then all sin, then all cos.
#[inline]
pub(super) fn fourier_dihedral(vectors: [Vector; 3], p: &[f64]) -> Term<3> {
    let dihedral = Dihedral::new(vectors)?;
    let (sines, cosines) = p[1..].split_at((p.len() - 1) / 2);
    let (s, c) = (dihedral.sine, dihedral.cosine);
    let (mut energy, mut slope) = (p[0], 0.0);
    // sin nφ and cos nφ by the addition theorems.
    let (mut sn, mut cn) = (s, c);
    for (n, (a, b)) in (1..).zip(sines.iter().zip(cosines)) {
        energy += a * sn + b * cn;
        slope += f64::from(n) * (a * cn - b * sn);
        (sn, cn) = (sn * c + cn * s, cn * c - sn * s);
    }
    Ok((energy, dihedral.by_phi(slope)))
}

/// k (φ − x0)² + v0, with φ − x0 taken to the period around zero.
#[inline]
pub(super) fn harmonic_improper(vectors: [Vector; 3], p: &[f64]) -> Term<3> {
    let dihedral = Dihedral::new(vectors)?;
    let away = dihedral.sine.atan2(dihedral.cosine) - p[1];
    let (energy, slope) = harmonic(away - TAU * (away / TAU).round(), p);
    Ok((energy, dihedral.by_phi(slope)))
}

/// k x² + v0 and 2 k x, of parameters k, x0, v0.
#[inline]
fn harmonic(x: f64, p: &[f64]) -> (f64, f64) {
    (p[0] * x * x + p[2], 2.0 * p[0] * x)
}

#[inline]
fn square(d: Vector, number: usize) -> Result<f64, Degenerate> {
    let square = dot(d, d);
    if square == 0.0 {
        return Err(Degenerate::Coincident(number));
    }
    Ok(square)
}

#[inline]
fn length(d: Vector, number: usize) -> Result<f64, Degenerate> {
    Ok(square(d, number)?.sqrt())
}

/// The angle between two vectors.
struct Angle {
    /// The vectors' directions.
    units: [Vector; 2],
    /// One over their lengths.
    inverse: [f64; 2],
    /// The cross product of the directions.
    normal: Vector,
    sine: f64,
    cosine: f64,
}

impl Angle {
    #[inline]
    fn new(vectors: [Vector; 2]) -> Result<Self, Degenerate> {
        let inverse = [1.0 / length(vectors[0], 0)?, 1.0 / length(vectors[1], 1)?];
        let units = [scale(inverse[0], vectors[0]), scale(inverse[1], vectors[1])];
        let normal = cross(units[0], units[1]);
        Ok(Self {
            sine: dot(normal, normal).sqrt(),
            cosine: dot(units[0], units[1]),
            units,
            inverse,
            normal,
        })
    }

    /// Accurate for angles near 0 and π, unlike the arc cosine.
    #[inline]
    fn theta(&self) -> f64 {
        self.sine.atan2(self.cosine)
    }

    /// Gradients of an energy whose derivative by cos θ is `slope`.
    #[inline]
    fn by_cosine(&self, slope: f64) -> [Vector; 2] {
        let [u, v] = self.units;
        // v − cos θ u without cancellation.
        let (along, across) = (cross(self.normal, u), cross(v, self.normal));
        [
            scale(slope * self.inverse[0], along),
            scale(slope * self.inverse[1], across),
        ]
    }

    /// Gradients of an energy whose derivative by θ is `slope`.
    ///
    /// Atoms on a line have no plane to bend in: the energy has a kink there unless its slope is zero, and the force is
    /// taken as the mean over all planes, which is zero.
    #[inline]
    fn by_theta(&self, slope: f64) -> [Vector; 2] {
        if self.sine == 0.0 {
            return [[0.0; 3]; 2];
        }
        self.by_cosine(-slope / self.sine)
    }
}

/// The dihedral angle about the second of three vectors.
struct Dihedral {
    sine: f64,
    cosine: f64,
    /// Derivatives of φ by the three vectors.
    gradients: [Vector; 3],
}

impl Dihedral {
    #[inline]
    fn new([a, b, c]: [Vector; 3]) -> Result<Self, Degenerate> {
        let squares = [square(a, 0)?, square(b, 1)?, square(c, 2)?];
        let (m, n) = (cross(a, b), cross(b, c));
        let (m2, n2) = (dot(m, m), dot(n, n));
        let middle = squares[1].sqrt();
        // Written so that what is not a number is let through, to be found in the results.
        if m2 <= COLLINEAR * squares[0] * squares[1] || n2 <= COLLINEAR * squares[2] * squares[1] {
            return Err(Degenerate::Collinear);
        }
        let (x, y) = (dot(m, n), middle * dot(a, n));
        let inverse = 1.0 / x.hypot(y);
        Ok(Self {
            sine: y * inverse,
            cosine: x * inverse,
            gradients: [
                scale(middle / m2, m),
                combine(-dot(a, b) / (m2 * middle), m, -dot(c, b) / (n2 * middle), n),
                scale(middle / n2, n),
            ],
        })
    }

    /// Gradients of an energy whose derivative by φ is `slope`.
    #[inline]
    fn by_phi(&self, slope: f64) -> [Vector; 3] {
        self.gradients.map(|gradient| scale(slope, gradient))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::{FRAC_PI_2, PI};

    const X: Vector = [1.0, 0.0, 0.0];
    const Y: Vector = [0.0, 1.0, 0.0];
    const Z: Vector = [0.0, 0.0, 1.0];

    #[test]
    fn angles_are_between_the_outer_atoms() {
        let (energy, _) = harmonic_angle([X, Y], &[1.0, 0.0, 0.0]).unwrap();
        assert!((energy - FRAC_PI_2 * FRAC_PI_2).abs() < 1e-15);
        let (energy, _) = harmonic_angle_cos([X, scale(-2.0, X)], &[1.0, 1.0, 0.5]).unwrap();
        assert_eq!(energy, 4.5);
        let (energy, _) = quartic_angle([X, Y], &[0.0, 0.0, 0.0, 1.0, 0.0]).unwrap();
        assert!((energy - FRAC_PI_2).abs() < 1e-15);
        let (energy, _) = restricted_bending([X, Y], &[3.0, 0.5, 1.0]).unwrap();
        assert_eq!(energy, 1.75);
    }

    #[test]
    fn dihedrals_are_positive_clockwise() {
        // Looking along z, from the first atom at x to the last at y is clockwise: x to the right, y downwards.
        let chain = [scale(-1.0, X), Z, Y];
        let (energy, _) = harmonic_improper(chain, &[1.0, 0.0, 0.0]).unwrap();
        assert!((energy - FRAC_PI_2 * FRAC_PI_2).abs() < 1e-15);
        let (sine, _) = fourier_dihedral(chain, &[0.0, 1.0, 0.0]).unwrap();
        assert_eq!(sine, 1.0);
        // Trans is π, and a target of −π is the same.
        let trans = [scale(-1.0, X), Z, scale(-1.0, X)];
        let (energy, _) = harmonic_improper(trans, &[1.0, -PI, 0.0]).unwrap();
        assert!(energy < 1e-30);
        let (second, _) = fourier_dihedral(trans, &[0.0, 0.0, 0.0, 0.0, 1.0]).unwrap();
        assert!((second - 1.0).abs() < 1e-15);
    }

    #[test]
    fn straight_angles_have_finite_forces() {
        let line = [X, scale(-1.0, X)];
        for term in [
            harmonic_angle(line, &[2.0, 1.0, 0.0]),
            quartic_angle(line, &[1.0, 2.0, 3.0, 4.0, 5.0]),
            harmonic_angle_cos(line, &[2.0, 0.5, 0.0]),
        ] {
            let (energy, gradients) = term.unwrap();
            assert!(energy > 0.0);
            assert_eq!(gradients, [[0.0; 3]; 2]);
        }
        // Almost straight, the force has its full size.
        let almost = [X, [-1.0, 1e-9, 0.0]];
        let (_, gradients) = harmonic_angle(almost, &[1.0, 0.0, 0.0]).unwrap();
        assert!((dot(gradients[0], gradients[0]).sqrt() - TAU).abs() < 1e-6);
    }

    #[test]
    fn what_has_no_value_is_told_apart() {
        let (zero, line) = ([0.0; 3], [X, scale(-1.0, X)]);
        let p = [1.0; 5];
        assert_eq!(harmonic_bond([zero], &p), Err(Degenerate::Coincident(0)));
        assert_eq!(repulsion([zero], &p), Err(Degenerate::Coincident(0)));
        assert_eq!(
            exponential_repulsion([zero], &p),
            Err(Degenerate::Coincident(0))
        );
        assert_eq!(
            harmonic_angle([X, zero], &p),
            Err(Degenerate::Coincident(1))
        );
        assert_eq!(restricted_bending(line, &p), Err(Degenerate::Collinear));
        for form in [fourier_dihedral, harmonic_improper] {
            assert_eq!(form([X, zero, Y], &p[..3]), Err(Degenerate::Coincident(1)));
            assert_eq!(form([X, X, Y], &p[..3]), Err(Degenerate::Collinear));
            assert_eq!(form([Y, X, X], &p[..3]), Err(Degenerate::Collinear));
        }
    }
}
