// Operations on one element at a time. A NaN stays one: comparisons are written so that it passes.
#include "common.cuh"

template <typename T> __device__ __forceinline__ T rectified(T value) { return value <= T(0) ? T(0) : value; }

// Derivatives are 0 at the corners, as in PyTorch.
template <typename T> __device__ void relu(const T* x, T* y, unsigned count) {
    ELEMENT(i, count)
    y[i] = T(rectified(load(x, i)));
}

template <typename T> __device__ void relu_gradient(const T* y, const T* g, T* out, unsigned count) {
    ELEMENT(i, count)
    out[i] = load(y, i) <= wide<T>(0) ? T(0.0f) : g[i];
}

template <typename T> __device__ void relu6(const T* x, T* y, unsigned count) {
    ELEMENT(i, count)
    const wide<T> value = rectified(load(x, i));
    y[i] = T(value >= wide<T>(6) ? wide<T>(6) : value);
}

template <typename T> __device__ void relu6_gradient(const T* y, const T* g, T* out, unsigned count) {
    ELEMENT(i, count)
    const wide<T> value = load(y, i);
    out[i] = value <= wide<T>(0) || value >= wide<T>(6) ? T(0.0f) : g[i];
}

// y ← y + bias, one bias a channel.
template <typename T> __device__ void add_bias(const T* bias, T* y, unsigned channels, unsigned count) {
    ELEMENT(i, count)
    y[i] = T(load(y, i) + load(bias, i % channels));
}

// The host's struct of the same name and order.
struct Affine {
    unsigned channels;
    bool rectify;
};

// y = x · scale + shift (+ added) (then rectified). `parameters` holds the scales of all channels, then the shifts;
// `added` may be null.
template <typename T>
__device__ void affine(const T* x, const T* parameters, const T* added, T* y, Affine settings, unsigned count) {
    ELEMENT(i, count)
    const unsigned channel = i % settings.channels;
    wide<T> value = load(x, i) * load(parameters, channel) + load(parameters, settings.channels + channel);
    if (added) value += load(added, i);
    y[i] = T(settings.rectify ? rectified(value) : value);
}

// out = g · scale, or 0 where the result y was rectified: the gradient of x. `y` is null where nothing was rectified.
template <typename T>
__device__ void affine_gradient(const T* g, const T* y, const T* parameters, T* out, unsigned channels,
                                unsigned count) {
    ELEMENT(i, count)
    const bool dark = y && load(y, i) <= wide<T>(0);
    out[i] = dark ? T(0.0f) : T(load(g, i) * load(parameters, i % channels));
}

template <typename T> __device__ void add_relu(const T* x, const T* y, T* out, unsigned count) {
    ELEMENT(i, count)
    out[i] = T(rectified(load(x, i) + load(y, i)));
}

// Φ, the normal distribution function.
template <typename W> __device__ __forceinline__ W below(W value) {
    return W(0.5) * (W(1) + erf(value * W(0.70710678118654752440)));
}

// x · Φ(x)
template <typename T> __device__ void gelu(const T* x, T* y, unsigned count) {
    ELEMENT(i, count)
    const wide<T> value = load(x, i);
    y[i] = T(value * below(value));
}

// g · (Φ(x) + x · φ(x))
template <typename T> __device__ void gelu_gradient(const T* x, const T* g, T* out, unsigned count) {
    ELEMENT(i, count)
    const wide<T> value = load(x, i);
    const wide<T> density = exp(wide<T>(-0.5) * value * value) * wide<T>(0.39894228040143267794);
    out[i] = T(load(g, i) * (below(value) + value * density));
}

// √(2/π) · (x + 0.044715 x³), and its derivative.
template <typename W> __device__ __forceinline__ W bend(W value) {
    return W(0.79788456080286535588) * (value + W(0.044715) * value * value * value);
}

template <typename W> __device__ __forceinline__ W bend_gradient(W value) {
    return W(0.79788456080286535588) * (W(1) + W(3 * 0.044715) * value * value);
}

// x / 2 · (1 + tanh(bend(x)))
template <typename T> __device__ void gelu_tanh(const T* x, T* y, unsigned count) {
    ELEMENT(i, count)
    const wide<T> value = load(x, i);
    y[i] = T(wide<T>(0.5) * value * (wide<T>(1) + tanh(bend(value))));
}

template <typename T> __device__ void gelu_tanh_gradient(const T* x, const T* g, T* out, unsigned count) {
    ELEMENT(i, count)
    const wide<T> value = load(x, i), bent = tanh(bend(value)), half = wide<T>(0.5);
    const wide<T> slope = half * (wide<T>(1) + bent) + half * value * (wide<T>(1) - bent * bent) * bend_gradient(value);
    out[i] = T(load(g, i) * slope);
}

#define DEFINE(T, suffix)                                                                                            \
    extern "C" __global__ void relu_##suffix(const T* x, T* y, unsigned count) { relu(x, y, count); }                \
    extern "C" __global__ void relu_gradient_##suffix(const T* y, const T* g, T* out, unsigned count) {              \
        relu_gradient(y, g, out, count);                                                                             \
    }                                                                                                                \
    extern "C" __global__ void relu6_##suffix(const T* x, T* y, unsigned count) { relu6(x, y, count); }              \
    extern "C" __global__ void relu6_gradient_##suffix(const T* y, const T* g, T* out, unsigned count) {             \
        relu6_gradient(y, g, out, count);                                                                            \
    }                                                                                                                \
    extern "C" __global__ void add_bias_##suffix(const T* bias, T* y, unsigned channels, unsigned count) {           \
        add_bias(bias, y, channels, count);                                                                          \
    }                                                                                                                \
    extern "C" __global__ void affine_##suffix(const T* x, const T* parameters, const T* added, T* y,                \
                                               Affine settings, unsigned count) {                                    \
        affine(x, parameters, added, y, settings, count);                                                            \
    }                                                                                                                \
    extern "C" __global__ void affine_gradient_##suffix(const T* g, const T* y, const T* parameters, T* out,         \
                                                        unsigned channels, unsigned count) {                         \
        affine_gradient(g, y, parameters, out, channels, count);                                                     \
    }                                                                                                                \
    extern "C" __global__ void add_relu_##suffix(const T* x, const T* y, T* out, unsigned count) {                   \
        add_relu(x, y, out, count);                                                                                  \
    }                                                                                                                \
    extern "C" __global__ void gelu_##suffix(const T* x, T* y, unsigned count) { gelu(x, y, count); }                \
    extern "C" __global__ void gelu_gradient_##suffix(const T* x, const T* g, T* out, unsigned count) {              \
        gelu_gradient(x, g, out, count);                                                                             \
    }                                                                                                                \
    extern "C" __global__ void gelu_tanh_##suffix(const T* x, T* y, unsigned count) { gelu_tanh(x, y, count); }      \
    extern "C" __global__ void gelu_tanh_gradient_##suffix(const T* x, const T* g, T* out, unsigned count) {         \
        gelu_tanh_gradient(x, g, out, count);                                                                        \
    }
FOR_FORMATS(DEFINE)
