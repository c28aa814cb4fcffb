// Sums over the rows of a (rows, columns) matrix: one result a column, which is a channel.
#include "common.cuh"

constexpr unsigned ACROSS = 32;
constexpr unsigned DEEP = 8;

// The sum of what the threads of one column hold; right in those of lane 0. All threads of the block must call it.
template <typename Sum> __device__ Sum across_lanes(Sum sum) {
    __shared__ Sum sums[DEEP][ACROSS];
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    for (unsigned lane = 1; lane < DEEP && threadIdx.y == 0; lane++) sum += sums[lane][threadIdx.x];
    return sum;
}

// What one element adds to its column's sum: a, a · b, (a − centre)² or (a − centre) · b, by which pointers are null.
template <typename From>
__device__ __forceinline__ wide<From> term(const From* a, const From* b, const wide<From>* centre, unsigned index,
                                           unsigned column) {
    const wide<From> value = centre ? load(a, index) - centre[column] : load(a, index);
    if (b) return value * load(b, index);
    return centre ? value * value : value;
}

// The sums of this block's share of the rows, times `factor`: (shares, columns).
//
// Run twice: with many shares, then with one over what the first run left. No atomics, so the same bits every time.
template <typename From, typename To>
__device__ void column_sums(const From* a, const From* b, const wide<From>* centre, To* out, unsigned rows,
                            unsigned columns, wide<From> factor) {
    const unsigned column = blockIdx.x * ACROSS + threadIdx.x;
    wide<From> sum = 0;
    for (unsigned row = blockIdx.y * DEEP + threadIdx.y; row < rows && column < columns; row += gridDim.y * DEEP) {
        sum += term(a, b, centre, row * columns + column, column);
    }
    sum = across_lanes(sum);
    if (threadIdx.y == 0 && column < columns) out[blockIdx.y * columns + column] = To(sum * factor);
}

// The mean over the pixels of each picture (pictures, pixels, channels); a block row is a picture.
template <typename T> __device__ void picture_means(const T* x, T* y, unsigned pixels, unsigned channels) {
    const unsigned channel = blockIdx.x * ACROSS + threadIdx.x;
    wide<T> sum = 0;
    for (unsigned pixel = threadIdx.y; pixel < pixels && channel < channels; pixel += DEEP) {
        sum += load(x, (blockIdx.y * pixels + pixel) * channels + channel);
    }
    sum = across_lanes(sum);
    if (threadIdx.y == 0 && channel < channels) y[blockIdx.y * channels + channel] = T(sum / wide<T>(pixels));
}

#define DEFINE(T, suffix)                                                                                            \
    extern "C" __global__ void column_shares_##suffix(const T* a, const T* b, const wide<T>* centre, wide<T>* out,   \
                                                      unsigned rows, unsigned columns) {                             \
        column_sums(a, b, centre, out, rows, columns, wide<T>(1));                                                   \
    }                                                                                                                \
    extern "C" __global__ void column_totals_##suffix(const wide<T>* shares, T* out, unsigned rows,                  \
                                                      unsigned columns, double factor) {                             \
        const wide<T>* none = nullptr;                                                                               \
        column_sums(shares, none, none, out, rows, columns, wide<T>(factor));                                        \
    }                                                                                                                \
    extern "C" __global__ void picture_means_##suffix(const T* x, T* y, unsigned pixels, unsigned channels) {        \
        picture_means(x, y, pixels, channels);                                                                       \
    }
FOR_FORMATS(DEFINE)
