// What all kernels share: number formats, and one thread for one element.
//
// Tensors are channels-last and contiguous. Indices are 32 bit: the host refuses larger tensors.
#pragma once
#include <cuda_bf16.h>

// The format in which a kernel computes: bf16 is a format for storing only.
template <typename T> struct Wide { using type = T; };
template <> struct Wide<__nv_bfloat16> { using type = float; };
template <typename T> using wide = typename Wide<T>::type;

template <typename T> __device__ __forceinline__ wide<T> load(const T* values, unsigned index) {
    return static_cast<wide<T>>(values[index]);
}

// Binds `index` to this thread's element, and ends the threads behind the last one.
#define ELEMENT(index, count)                                  \
    const unsigned index = blockIdx.x * blockDim.x + threadIdx.x; \
    if (index >= (count)) return;

// Expands DEFINE(type, suffix) for every format that a kernel takes.
#define FOR_REALS(DEFINE) DEFINE(float, f32) DEFINE(double, f64)
#define FOR_FORMATS(DEFINE) FOR_REALS(DEFINE) DEFINE(__nv_bfloat16, bf16)
