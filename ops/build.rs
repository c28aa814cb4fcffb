//! Compiles the CUDA kernels to PTX where the feature `cuda` is on; otherwise there is nothing to do.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "cuda")]
    kernels();
}

/// Writes one PTX file a source into the output folder, for the GPU of this machine or of `CUDA_COMPUTE_CAP`.
///
/// At build time, and not on first use, so that a kernel that does not compile fails the build and a running program
/// needs no compiler beside it. With the tool and the target of candle's own kernels.
#[cfg(feature = "cuda")]
fn kernels() {
    let built = cudaforge::KernelBuilder::new()
        .source_dir("src/cuda/kernels")
        .watch(["src/cuda/kernels/common.cuh"])
        .arg("-std=c++17")
        .arg("-O3")
        .build_ptx();
    if let Err(error) = built {
        println!("cargo::error=the CUDA kernels did not compile: {error}; is the CUDA toolkit's nvcc on the path?");
    }
}
