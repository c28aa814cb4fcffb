// Batch normalization with the batch's own statistics; sums over the batch are in columns.cu. Statistics are the means of
// all channels, then their variances.
#include "common.cuh"

// The host's struct of the same name and order.
struct Normalization {
    unsigned channels;
    double epsilon;
};

template <typename T> __device__ __forceinline__ T inverse(const T* statistics, unsigned channel, Normalization of) {
    return T(1) / sqrt(statistics[of.channels + channel] + T(of.epsilon));
}

// (x − mean) / √(variance + ε) · weight + bias. `parameters` holds the weights of all channels, then the biases.
template <typename T>
__device__ void batch_norm(const T* x, const T* parameters, const T* statistics, T* y, Normalization of,
                           unsigned count) {
    ELEMENT(i, count)
    const unsigned channel = i % of.channels;
    const T scale = parameters[channel] * inverse(statistics, channel, of);
    y[i] = (x[i] - statistics[channel]) * scale + parameters[of.channels + channel];
}

// From the sums of g · (x − mean), and of g, of all channels: the gradients of weights and biases.
template <typename T>
__device__ void batch_norm_parameters(const T* sums, const T* statistics, T* out, Normalization of, unsigned count) {
    ELEMENT(i, count)
    out[i] = i < of.channels ? sums[i] * inverse(statistics, i, of) : sums[i];
}

// The gradient of x: weight / √(variance + ε) · (g − mean of g − n · mean of g · n), with n the normalised x.
//
// `known` holds, each for all channels: weight, bias, mean, variance, gradient of the weight, gradient of the bias.
template <typename T>
__device__ void batch_norm_gradient(const T* g, const T* x, const T* known, T* out, Normalization of, unsigned count) {
    ELEMENT(i, count)
    const unsigned channels = of.channels, channel = i % channels;
    const T* statistics = known + 2 * channels;
    const T unit = inverse(statistics, channel, of), rows = T(count / channels);
    const T normal = (x[i] - statistics[channel]) * unit;
    const T of_weight = known[4 * channels + channel], of_bias = known[5 * channels + channel];
    out[i] = known[channel] * unit * (g[i] - of_bias / rows - normal * (of_weight / rows));
}

#define DEFINE(T, suffix)                                                                                            \
    extern "C" __global__ void batch_norm_##suffix(const T* x, const T* parameters, const T* statistics, T* y,       \
                                                   Normalization of, unsigned count) {                               \
        batch_norm(x, parameters, statistics, y, of, count);                                                         \
    }                                                                                                                \
    extern "C" __global__ void batch_norm_parameters_##suffix(const T* sums, const T* statistics, T* out,            \
                                                              Normalization of, unsigned count) {                    \
        batch_norm_parameters(sums, statistics, out, of, count);                                                     \
    }                                                                                                                \
    extern "C" __global__ void batch_norm_gradient_##suffix(const T* g, const T* x, const T* known, T* out,          \
                                                            Normalization of, unsigned count) {                      \
        batch_norm_gradient(g, x, known, out, of, count);                                                            \
    }
FOR_REALS(DEFINE)
