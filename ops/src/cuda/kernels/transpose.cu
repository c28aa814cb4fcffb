// (batch, rows, columns) → (batch, columns, rows): channels first ↔ channels last, for activations and for weights.
#include "common.cuh"

constexpr unsigned TILE = 32;
constexpr unsigned LINES = 8;

// A block moves one tile through shared memory, so that both reads and writes touch neighbouring addresses.
template <typename T> __device__ void transpose(const T* x, T* y, unsigned rows, unsigned columns) {
    // One column more, so that a column of the tile lies in different banks.
    __shared__ T tile[TILE][TILE + 1];
    const unsigned tiles = (columns + TILE - 1) / TILE;
    const unsigned left = blockIdx.x % tiles * TILE, top = blockIdx.x / tiles * TILE;
    const unsigned matrix = blockIdx.y * rows * columns;
    for (unsigned line = threadIdx.y; line < TILE; line += LINES) {
        const unsigned row = top + line, column = left + threadIdx.x;
        if (row < rows && column < columns) tile[line][threadIdx.x] = x[matrix + row * columns + column];
    }
    __syncthreads();
    for (unsigned line = threadIdx.y; line < TILE; line += LINES) {
        const unsigned column = left + line, row = top + threadIdx.x;
        if (row < rows && column < columns) y[matrix + column * rows + row] = tile[threadIdx.x][line];
    }
}

#define DEFINE(T, suffix)                                                                                \
    extern "C" __global__ void transpose_##suffix(const T* x, T* y, unsigned rows, unsigned columns) { \
        transpose(x, y, rows, columns);                                                                  \
    }
FOR_FORMATS(DEFINE)
