// Convolution in which each channel has a kernel of its own: x (B, H, W, C), weight (C, 1, k, k).
//
// cuDNN treats it as C convolutions of one channel; here neighbouring threads read neighbouring channels.
#include "common.cuh"

// The host's struct of the same name and order.
struct Depthwise {
    unsigned batch, height, width, channels;
    unsigned out_height, out_width;
    unsigned kernel_height, kernel_width, stride, padding;
};

template <typename T>
__device__ void depthwise(const T* x, const T* weight, const T* bias, T* y, Depthwise size, unsigned count) {
    ELEMENT(i, count)
    const unsigned channel = i % size.channels, pixel = i / size.channels;
    const unsigned column = pixel % size.out_width, line = pixel / size.out_width;
    const unsigned row = line % size.out_height, picture = line / size.out_height;
    wide<T> sum = bias ? load(bias, channel) : wide<T>(0);
    for (unsigned dy = 0; dy < size.kernel_height; dy++) {
        // Above or left of the picture, the difference wraps round and is too large as well.
        const unsigned from_row = row * size.stride + dy - size.padding;
        if (from_row >= size.height) continue;
        for (unsigned dx = 0; dx < size.kernel_width; dx++) {
            const unsigned from_column = column * size.stride + dx - size.padding;
            if (from_column >= size.width) continue;
            const unsigned from = ((picture * size.height + from_row) * size.width + from_column) * size.channels;
            const unsigned tap = (channel * size.kernel_height + dy) * size.kernel_width + dx;
            sum += load(x, from + channel) * load(weight, tap);
        }
    }
    y[i] = T(sum);
}

// Each input element collects from the results that it took part in.
template <typename T>
__device__ void depthwise_gradient_of_input(const T* g, const T* weight, T* out, Depthwise size, unsigned count) {
    ELEMENT(i, count)
    const unsigned channel = i % size.channels, pixel = i / size.channels;
    const unsigned column = pixel % size.width, line = pixel / size.width;
    const unsigned row = line % size.height, picture = line / size.height;
    wide<T> sum = 0;
    for (unsigned dy = 0; dy < size.kernel_height; dy++) {
        const unsigned down = row + size.padding - dy;
        if (down % size.stride != 0 || down / size.stride >= size.out_height) continue;
        for (unsigned dx = 0; dx < size.kernel_width; dx++) {
            const unsigned across = column + size.padding - dx;
            if (across % size.stride != 0 || across / size.stride >= size.out_width) continue;
            const unsigned to = (picture * size.out_height + down / size.stride) * size.out_width + across / size.stride;
            const unsigned tap = (channel * size.kernel_height + dy) * size.kernel_width + dx;
            sum += load(g, to * size.channels + channel) * load(weight, tap);
        }
    }
    out[i] = T(sum);
}

constexpr unsigned ACROSS = 32;
constexpr unsigned DEEP = 8;

// The gradient of the weight: a block sums 32 channels of one tap (blockIdx.y) over all positions.
template <typename T> __device__ void depthwise_gradient_of_weight(const T* g, const T* x, T* out, Depthwise size) {
    __shared__ wide<T> sums[DEEP][ACROSS];
    const unsigned channel = blockIdx.x * ACROSS + threadIdx.x, taps = size.kernel_height * size.kernel_width;
    const unsigned dy = blockIdx.y / size.kernel_width, dx = blockIdx.y % size.kernel_width;
    const unsigned positions = size.batch * size.out_height * size.out_width;
    wide<T> sum = 0;
    for (unsigned position = threadIdx.y; position < positions && channel < size.channels; position += DEEP) {
        const unsigned column = position % size.out_width, line = position / size.out_width;
        const unsigned from_row = line % size.out_height * size.stride + dy - size.padding;
        const unsigned from_column = column * size.stride + dx - size.padding;
        if (from_row >= size.height || from_column >= size.width) continue;
        const unsigned from = (line / size.out_height * size.height + from_row) * size.width + from_column;
        sum += load(g, position * size.channels + channel) * load(x, from * size.channels + channel);
    }
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && channel < size.channels) {
        for (unsigned lane = 1; lane < DEEP; lane++) sum += sums[lane][threadIdx.x];
        out[channel * taps + blockIdx.y] = T(sum);
    }
}

#define DEFINE(T, suffix)                                                                                            \
    extern "C" __global__ void depthwise_##suffix(const T* x, const T* weight, const T* bias, T* y, Depthwise size,  \
                                                  unsigned count) {                                                  \
        depthwise(x, weight, bias, y, size, count);                                                                  \
    }                                                                                                                \
    extern "C" __global__ void depthwise_gradient_of_input_##suffix(const T* g, const T* weight, T* out,             \
                                                                    Depthwise size, unsigned count) {                \
        depthwise_gradient_of_input(g, weight, out, size, count);                                                    \
    }                                                                                                                \
    extern "C" __global__ void depthwise_gradient_of_weight_##suffix(const T* g, const T* x, T* out,                 \
                                                                     Depthwise size) {                               \
        depthwise_gradient_of_weight(g, x, out, size);                                                               \
    }
FOR_FORMATS(DEFINE)
