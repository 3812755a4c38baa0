#pragma once

/// Inlined at every optimisation level. Everything that touches vector registers is declared so:
/// an ordinary inline function may be emitted out of line, and the linker would then merge copies
/// that were compiled for different processors.
#if defined(_MSC_VER) && !defined(__clang__)
#define SSM_INLINE __forceinline
#else
#define SSM_INLINE inline __attribute__((always_inline))
#endif

/// The same for a lambda, written between its parameters and its body.
#if defined(_MSC_VER) && !defined(__clang__)
#define SSM_INLINE_LAMBDA
#else
#define SSM_INLINE_LAMBDA __attribute__((always_inline))
#endif

/// A pointer whose target is reached through no other name in its scope.
#if defined(_MSC_VER)
#define SSM_RESTRICT __restrict
#else
#define SSM_RESTRICT __restrict__
#endif

/// A member that takes no room when it is empty (policies).
#if defined(_MSC_VER)
#define SSM_NO_UNIQUE_ADDRESS [[msvc::no_unique_address]]
#else
#define SSM_NO_UNIQUE_ADDRESS [[no_unique_address]]
#endif

/// The instruction set of this translation unit, spelt as an identifier.
///
/// It names the inline namespace of `ssm::simd` and `ssm::math`, so that files of one program that
/// are compiled for different processors have differently named types and functions: the linker
/// never hands a baseline caller the AVX-512 body of a function both use. A kernel template
/// elsewhere gets the same protection by having `simd::Arch` or a `simd::Pack` among its template
/// arguments. Whole kernel files are separated with a define on the compiler's command line that
/// renames the namespace itself, `-Dssm=ssm_avx2`, one name for each instruction set.
#if defined(__AVX512F__) && defined(__AVX512CD__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
#define SSM_ARCH arch_avx512
#elif defined(__AVX512F__)
#define SSM_ARCH arch_avx512f
#elif defined(__AVX2__) && defined(__FMA__)
#define SSM_ARCH arch_avx2_fma
#elif defined(__AVX2__)
#define SSM_ARCH arch_avx2
#elif defined(__AVX__) && defined(__FMA__)
#define SSM_ARCH arch_avx_fma
#elif defined(__AVX__)
#define SSM_ARCH arch_avx
#elif defined(__SSE4_2__)
#define SSM_ARCH arch_sse4_2
#elif defined(__SSE4_1__)
#define SSM_ARCH arch_sse4_1
#elif defined(__SSSE3__)
#define SSM_ARCH arch_ssse3
#elif defined(__SSE3__)
#define SSM_ARCH arch_sse3
#elif defined(__SSE2__) || defined(_M_X64)
#define SSM_ARCH arch_sse2
#elif defined(__ARM_FEATURE_SVE)
#define SSM_ARCH arch_sve
#elif defined(__aarch64__) || defined(_M_ARM64)
#define SSM_ARCH arch_neon64
#elif defined(__ARM_NEON)
#define SSM_ARCH arch_neon
#elif defined(__wasm_simd128__)
#define SSM_ARCH arch_wasm
#elif defined(__riscv_vector)
#define SSM_ARCH arch_rvv
#else
#define SSM_ARCH arch_generic
#endif
