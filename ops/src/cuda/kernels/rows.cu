// Operations over the last axis of a (rows, columns) matrix: normalisations and softmax. A warp works on one row.
#include "common.cuh"

constexpr unsigned WARP = 32;
constexpr unsigned ALL = 0xffffffffu;

// Binds `row` to this warp's row, as a pointer offset, and ends the warps behind the last one.
#define ROW(row, rows)                                                  \
    const unsigned row = blockIdx.x * blockDim.y + threadIdx.y; \
    if (row >= (rows)) return;

template <typename Sum> __device__ __forceinline__ Sum warp_sum(Sum value) {
    for (unsigned lane = WARP / 2; lane > 0; lane /= 2) value += __shfl_xor_sync(ALL, value, lane);
    return value;
}

template <typename Value> __device__ __forceinline__ Value warp_max(Value value) {
    for (unsigned lane = WARP / 2; lane > 0; lane /= 2) {
        const Value other = __shfl_xor_sync(ALL, value, lane);
        // A NaN must reach every lane.
        if (other > value || other != other) value = other;
    }
    return value;
}

// The host's struct of the same name and order.
struct Rows {
    unsigned rows, columns;
    // ε of a normalisation, or what the input of softmax is multiplied by first.
    double setting;
};

template <typename T> __device__ void softmax(const T* x, T* y, Rows size) {
    ROW(row, size.rows)
    const unsigned start = row * size.columns;
    const wide<T> scale = wide<T>(size.setting);
    wide<T> largest = load(x, start) * scale;
    for (unsigned i = threadIdx.x; i < size.columns; i += WARP) {
        const wide<T> value = load(x, start + i) * scale;
        if (value > largest || value != value) largest = value;
    }
    largest = warp_max(largest);
    wide<T> sum = 0;
    for (unsigned i = threadIdx.x; i < size.columns; i += WARP) sum += exp(load(x, start + i) * scale - largest);
    sum = warp_sum(sum);
    for (unsigned i = threadIdx.x; i < size.columns; i += WARP) {
        y[start + i] = T(exp(load(x, start + i) * scale - largest) / sum);
    }
}

// scale · y · (g − Σ g · y)
template <typename T> __device__ void softmax_gradient(const T* y, const T* g, T* out, Rows size) {
    ROW(row, size.rows)
    const unsigned start = row * size.columns;
    wide<T> sum = 0;
    for (unsigned i = threadIdx.x; i < size.columns; i += WARP) sum += load(y, start + i) * load(g, start + i);
    sum = warp_sum(sum);
    for (unsigned i = threadIdx.x; i < size.columns; i += WARP) {
        out[start + i] = T(wide<T>(size.setting) * load(y, start + i) * (load(g, start + i) - sum));
    }
}

// Mean and 1 / √(variance + ε) of a row.
template <typename Value> struct Moments {
    Value mean, scale;
};

template <typename T> __device__ Moments<wide<T>> moments(const T* x, unsigned start, const Rows& size) {
    using W = wide<T>;
    W sum = 0;
    for (unsigned i = threadIdx.x; i < size.columns; i += WARP) sum += load(x, start + i);
    const W mean = warp_sum(sum) / W(size.columns);
    W squares = 0;
    for (unsigned i = threadIdx.x; i < size.columns; i += WARP) {
        const W distance = load(x, start + i) - mean;
        squares += distance * distance;
    }
    return {mean, W(1) / sqrt(warp_sum(squares) / W(size.columns) + W(size.setting))};
}

// (x − mean) / √(variance + ε), times the weight of the column, plus its bias; both null where neither is wanted.
template <typename T> __device__ void layer_norm(const T* x, const T* weight, const T* bias, T* y, Rows size) {
    ROW(row, size.rows)
    const unsigned start = row * size.columns;
    const Moments<wide<T>> of = moments(x, start, size);
    for (unsigned i = threadIdx.x; i < size.columns; i += WARP) {
        wide<T> value = (load(x, start + i) - of.mean) * of.scale;
        if (weight) value = value * load(weight, i) + load(bias, i);
        y[start + i] = T(value);
    }
}

// With n the normalised x and h = g · weight: (h − mean of h − n · mean of h · n) / √(variance + ε).
template <typename T>
__device__ void layer_norm_gradient(const T* x, const T* weight, const T* g, T* out, Rows size) {
    using W = wide<T>;
    ROW(row, size.rows)
    const unsigned start = row * size.columns;
    const Moments<W> of = moments(x, start, size);
    W slopes = 0, products = 0;
    for (unsigned i = threadIdx.x; i < size.columns; i += WARP) {
        const W slope = load(g, start + i) * load(weight, i);
        slopes += slope;
        products += slope * (load(x, start + i) - of.mean) * of.scale;
    }
    slopes = warp_sum(slopes) / W(size.columns);
    products = warp_sum(products) / W(size.columns);
    for (unsigned i = threadIdx.x; i < size.columns; i += WARP) {
        const W slope = load(g, start + i) * load(weight, i);
        const W normal = (load(x, start + i) - of.mean) * of.scale;
        out[start + i] = T((slope - slopes - normal * products) * of.scale);
    }
}

// The length of a row.
template <typename T> __device__ __forceinline__ wide<T> length(const T* x, unsigned start, const Rows& size) {
    wide<T> squares = 0;
    for (unsigned i = threadIdx.x; i < size.columns; i += WARP) {
        const wide<T> value = load(x, start + i);
        squares += value * value;
    }
    return sqrt(warp_sum(squares));
}

// x / max(‖x‖, ε)
template <typename T> __device__ void l2_normalize(const T* x, T* y, Rows size) {
    using W = wide<T>;
    ROW(row, size.rows)
    const unsigned start = row * size.columns;
    const W norm = length(x, start, size), least = W(size.setting);
    for (unsigned i = threadIdx.x; i < size.columns; i += WARP) {
        y[start + i] = T(load(x, start + i) / (norm < least ? least : norm));
    }
}

// (g − y · Σ g · y) / ‖x‖, or g / ε where ε took the length's place.
template <typename T> __device__ void l2_normalize_gradient(const T* x, const T* g, T* out, Rows size) {
    using W = wide<T>;
    ROW(row, size.rows)
    const unsigned start = row * size.columns;
    const W norm = length(x, start, size), least = W(size.setting);
    W along = 0;
    for (unsigned i = threadIdx.x; i < size.columns; i += WARP) along += load(x, start + i) * load(g, start + i);
    along = warp_sum(along);
    for (unsigned i = threadIdx.x; i < size.columns; i += WARP) {
        const W slope = load(g, start + i);
        out[start + i] = T(norm < least ? slope / least : (slope - load(x, start + i) / norm * (along / norm)) / norm);
    }
}

#define DEFINE(T, suffix)                                                                                            \
    extern "C" __global__ void softmax_##suffix(const T* x, T* y, Rows size) { softmax(x, y, size); }                \
    extern "C" __global__ void softmax_gradient_##suffix(const T* y, const T* g, T* out, Rows size) {                \
        softmax_gradient(y, g, out, size);                                                                           \
    }                                                                                                                \
    extern "C" __global__ void layer_norm_##suffix(const T* x, const T* weight, const T* bias, T* y, Rows size) {    \
        layer_norm(x, weight, bias, y, size);                                                                        \
    }                                                                                                                \
    extern "C" __global__ void layer_norm_gradient_##suffix(const T* x, const T* weight, const T* g, T* out,         \
                                                            Rows size) {                                             \
        layer_norm_gradient(x, weight, g, out, size);                                                                \
    }                                                                                                                \
    extern "C" __global__ void l2_normalize_##suffix(const T* x, T* y, Rows size) { l2_normalize(x, y, size); }      \
    extern "C" __global__ void l2_normalize_gradient_##suffix(const T* x, const T* g, T* out, Rows size) {           \
        l2_normalize_gradient(x, g, out, size);                                                                      \
    }
FOR_FORMATS(DEFINE)
