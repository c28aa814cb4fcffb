// Windows over the pixels of each channel: pooling, and the block convolution–pooling–ReLU.
#include "common.cuh"

// The host's struct of the same name and order.
struct Window {
    unsigned batch, height, width, channels;
    unsigned out_height, out_width;
    unsigned kernel, stride, padding;
};

struct Place {
    unsigned picture, row, column, channel;
};

// Where element `index` of a (…, height, width, channels) tensor lies.
__device__ __forceinline__ Place place_of(unsigned index, unsigned height, unsigned width, unsigned channels) {
    const unsigned pixel = index / channels, line = pixel / width;
    return {line / height, line % height, pixel % width, index % channels};
}

// The pixels of one axis that a window covers: [start, end).
struct Span {
    unsigned start, end;
};

__device__ __forceinline__ Span span_of(unsigned position, unsigned size, const Window& window) {
    const unsigned first = position * window.stride;
    return {first < window.padding ? 0 : first - window.padding, min(first + window.kernel - window.padding, size)};
}

// The windows of one axis that cover a pixel: [start, end).
__device__ __forceinline__ Span windows_over(unsigned pixel, unsigned windows, const Window& window) {
    const unsigned padded = pixel + window.padding;
    const unsigned start = padded < window.kernel ? 0 : (padded - window.kernel) / window.stride + 1;
    return {start, min(padded / window.stride + 1, windows)};
}

// The largest value of each window: a NaN wins over numbers, and of equal values the first in row-major order.
//
// `won`, which may be null, keeps which value of the window it was (row-major, padding counted), for the gradient.
template <typename T> __device__ void max_pool(const T* x, T* y, unsigned short* won, Window window, unsigned count) {
    ELEMENT(i, count)
    const Place at = place_of(i, window.out_height, window.out_width, window.channels);
    const Span rows = span_of(at.row, window.height, window), columns = span_of(at.column, window.width, window);
    // Offsets in the window of the first pixel that is not padding.
    const unsigned above = rows.start + window.padding - at.row * window.stride;
    const unsigned beside = columns.start + window.padding - at.column * window.stride;
    wide<T> best = 0;
    unsigned tap = 0;
    bool found = false;
    for (unsigned row = rows.start; row < rows.end; row++) {
        for (unsigned column = columns.start; column < columns.end; column++) {
            const unsigned pixel = (at.picture * window.height + row) * window.width + column;
            const wide<T> value = load(x, pixel * window.channels + at.channel);
            if (!found || value > best || value != value) {
                best = value;
                tap = (above + row - rows.start) * window.kernel + beside + column - columns.start;
                found = true;
            }
        }
    }
    y[i] = T(best);
    if (won) won[i] = static_cast<unsigned short>(tap);
}

// Each input element collects from the windows that it won: no atomic additions, so the same bits every time.
template <typename T>
__device__ void max_pool_gradient(const T* g, const unsigned short* won, T* out, Window window, unsigned count) {
    ELEMENT(i, count)
    const Place at = place_of(i, window.height, window.width, window.channels);
    const Span rows = windows_over(at.row, window.out_height, window);
    const Span columns = windows_over(at.column, window.out_width, window);
    wide<T> sum = 0;
    for (unsigned row = rows.start; row < rows.end; row++) {
        for (unsigned column = columns.start; column < columns.end; column++) {
            const unsigned pixel = (at.picture * window.out_height + row) * window.out_width + column;
            const unsigned tap = (at.row + window.padding - row * window.stride) * window.kernel + at.column +
                                 window.padding - column * window.stride;
            if (won[pixel * window.channels + at.channel] == tap) sum += load(g, pixel * window.channels + at.channel);
        }
    }
    out[i] = T(sum);
}

// What the sum of a window is divided by: all its pixels, or those that are not padding.
__device__ __forceinline__ unsigned divisor(unsigned row, unsigned column, bool count_padding, const Window& window) {
    if (count_padding) return window.kernel * window.kernel;
    const Span rows = span_of(row, window.height, window), columns = span_of(column, window.width, window);
    return (rows.end - rows.start) * (columns.end - columns.start);
}

// The host's struct of the same name and order.
struct Averaging {
    Window window;
    bool count_padding;
};

template <typename T> __device__ void avg_pool(const T* x, T* y, Averaging settings, unsigned count) {
    ELEMENT(i, count)
    const Window& window = settings.window;
    const Place at = place_of(i, window.out_height, window.out_width, window.channels);
    const Span rows = span_of(at.row, window.height, window), columns = span_of(at.column, window.width, window);
    wide<T> sum = 0;
    for (unsigned row = rows.start; row < rows.end; row++) {
        for (unsigned column = columns.start; column < columns.end; column++) {
            const unsigned pixel = (at.picture * window.height + row) * window.width + column;
            sum += load(x, pixel * window.channels + at.channel);
        }
    }
    y[i] = T(sum / wide<T>(divisor(at.row, at.column, settings.count_padding, window)));
}

template <typename T> __device__ void avg_pool_gradient(const T* g, T* out, Averaging settings, unsigned count) {
    ELEMENT(i, count)
    const Window& window = settings.window;
    const Place at = place_of(i, window.height, window.width, window.channels);
    const Span rows = windows_over(at.row, window.out_height, window);
    const Span columns = windows_over(at.column, window.out_width, window);
    wide<T> sum = 0;
    for (unsigned row = rows.start; row < rows.end; row++) {
        for (unsigned column = columns.start; column < columns.end; column++) {
            const unsigned pixel = (at.picture * window.out_height + row) * window.out_width + column;
            sum += load(g, pixel * window.channels + at.channel) /
                   wide<T>(divisor(row, column, settings.count_padding, window));
        }
    }
    out[i] = T(sum);
}

// The host's struct of the same name and order.
struct Spread {
    unsigned pixels, channels;
};

// The gradient of a mean over all pixels: each gets the same share.
template <typename T> __device__ void spread(const T* g, T* out, Spread settings, unsigned count) {
    ELEMENT(i, count)
    const unsigned picture = i / settings.channels / settings.pixels;
    out[i] = T(load(g, picture * settings.channels + i % settings.channels) / wide<T>(settings.pixels));
}

// No value of the window was positive.
constexpr unsigned char NONE = 4;

// 2×2 pooling and ReLU of a convolution without its bias, which is added here. `won`, which may be null, keeps which
// of the four values it was, for the gradient.
template <typename T>
__device__ void pool_relu(const T* convolved, const T* bias, T* y, unsigned char* won, Window window, unsigned count) {
    ELEMENT(i, count)
    const Place at = place_of(i, window.out_height, window.out_width, window.channels);
    const unsigned line = window.width * window.channels;
    const unsigned first =
        ((at.picture * window.height + 2 * at.row) * window.width + 2 * at.column) * window.channels + at.channel;
    const wide<T> shift = bias ? load(bias, at.channel) : wide<T>(0);
    const unsigned offsets[4] = {0, window.channels, line, line + window.channels};
    // Rounded as the convolution's output would be: values that tie there must tie here.
    wide<T> best = load(convolved, first) + shift;
    unsigned char index = 0;
    for (unsigned char other = 1; other < 4; other++) {
        const wide<T> value = load(convolved, first + offsets[other]) + shift;
        if (value > best) {
            best = value;
            index = other;
        }
    }
    const bool dark = best <= wide<T>(0);
    y[i] = dark ? T(0.0f) : T(best);
    if (won) won[i] = dark ? NONE : index;
}

// The gradient of the convolution's output: zero but for the winners. `count` is its number of elements.
template <typename T>
__device__ void pool_relu_gradient(const T* g, const unsigned char* won, T* out, Window window, unsigned count) {
    ELEMENT(i, count)
    const Place at = place_of(i, window.height, window.width, window.channels);
    const unsigned row = at.row / 2, column = at.column / 2;
    T slope = T(0.0f);
    if (row < window.out_height && column < window.out_width) {
        const unsigned pooled =
            ((at.picture * window.out_height + row) * window.out_width + column) * window.channels + at.channel;
        if (won[pooled] == at.row % 2 * 2 + at.column % 2) slope = g[pooled];
    }
    out[i] = slope;
}

#define DEFINE(T, suffix)                                                                                            \
    extern "C" __global__ void max_pool_##suffix(const T* x, T* y, unsigned short* won, Window window,               \
                                                 unsigned count) {                                                   \
        max_pool(x, y, won, window, count);                                                                          \
    }                                                                                                                \
    extern "C" __global__ void max_pool_gradient_##suffix(const T* g, const unsigned short* won, T* out,             \
                                                          Window window, unsigned count) {                           \
        max_pool_gradient(g, won, out, window, count);                                                               \
    }                                                                                                                \
    extern "C" __global__ void avg_pool_##suffix(const T* x, T* y, Averaging settings, unsigned count) {             \
        avg_pool(x, y, settings, count);                                                                             \
    }                                                                                                                \
    extern "C" __global__ void avg_pool_gradient_##suffix(const T* g, T* out, Averaging settings, unsigned count) {  \
        avg_pool_gradient(g, out, settings, count);                                                                  \
    }                                                                                                                \
    extern "C" __global__ void spread_##suffix(const T* g, T* out, Spread settings, unsigned count) {                \
        spread(g, out, settings, count);                                                                             \
    }                                                                                                                \
    extern "C" __global__ void pool_relu_##suffix(const T* convolved, const T* bias, T* y, unsigned char* won,       \
                                                  Window window, unsigned count) {                                   \
        pool_relu(convolved, bias, y, won, window, count);                                                           \
    }                                                                                                                \
    extern "C" __global__ void pool_relu_gradient_##suffix(const T* g, const unsigned char* won, T* out,             \
                                                           Window window, unsigned count) {                          \
        pool_relu_gradient(g, won, out, window, count);                                                              \
    }
FOR_FORMATS(DEFINE)
