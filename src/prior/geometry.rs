//! Vectors of space.

/// A point or vector.
pub(super) type Vector = [f64; 3];

#[inline]
pub(super) fn sub(p: Vector, q: Vector) -> Vector {
    [p[0] - q[0], p[1] - q[1], p[2] - q[2]]
}

#[inline]
pub(super) fn scale(factor: f64, p: Vector) -> Vector {
    [factor * p[0], factor * p[1], factor * p[2]]
}

/// `a · p + b · q`
#[inline]
pub(super) fn combine(a: f64, p: Vector, b: f64, q: Vector) -> Vector {
    [
        a * p[0] + b * q[0],
        a * p[1] + b * q[1],
        a * p[2] + b * q[2],
    ]
}

#[inline]
pub(super) fn dot(p: Vector, q: Vector) -> f64 {
    p[0] * q[0] + p[1] * q[1] + p[2] * q[2]
}

#[inline]
pub(super) fn cross(p: Vector, q: Vector) -> Vector {
    [
        p[1] * q[2] - p[2] * q[1],
        p[2] * q[0] - p[0] * q[2],
        p[0] * q[1] - p[1] * q[0],
    ]
}
