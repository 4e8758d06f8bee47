//! Names what stands above it.

pub fn read(plan: crate::queue::Plan) {
    drop(plan);
}
