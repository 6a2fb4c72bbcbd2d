# SPDX-License-Identifier: Apache-2.0
# Owns whether CUDA kernels are compiled: probes for nvcc and a host compiler that it accepts, and
# sets MILLRACE_HAVE_CUDA. Included from the top level, because a language is enabled for the
# folders below. A build with CUDA still runs where there is no driver.
set(MILLRACE_CUDA_ARCHITECTURES "80;90" CACHE STRING
  "Compute capabilities to compile CUDA kernels for; the highest is also kept as PTX")
set(MILLRACE_HAVE_CUDA OFF)

function(millrace_probe_cuda)
  if(MILLRACE_CUDA STREQUAL OFF)
    set(MILLRACE_CUDA_REASON "off (MILLRACE_CUDA=OFF)" PARENT_SCOPE)
    return()
  endif()
  find_program(MILLRACE_NVCC nvcc HINTS ENV CUDA_PATH ENV CUDA_HOME PATHS /usr/local/cuda PATH_SUFFIXES bin)
  if(NOT MILLRACE_NVCC)
    set(MILLRACE_CUDA_REASON "off, no nvcc on PATH or in /usr/local/cuda" PARENT_SCOPE)
    return()
  endif()
  # nvcc 13 does not take clang 19 with libstdc++'s C++23 as its host compiler.
  find_program(MILLRACE_CUDA_HOST NAMES g++-12 g++-13 g++-14 g++)
  if(NOT MILLRACE_CUDA_HOST)
    set(MILLRACE_CUDA_REASON "off, ${MILLRACE_NVCC} needs g++-12 as host compiler" PARENT_SCOPE)
    return()
  endif()
  set(CMAKE_CUDA_COMPILER ${MILLRACE_NVCC} CACHE FILEPATH "CUDA compiler")
  set(CMAKE_CUDA_HOST_COMPILER ${MILLRACE_CUDA_HOST} CACHE FILEPATH "Host compiler of nvcc")
  # The language must not be enabled before it is known to work: enabling cannot be undone.
  set(probe ${CMAKE_BINARY_DIR}/CMakeFiles/millrace_cuda_probe)
  set(key "${MILLRACE_NVCC} ${CMAKE_CUDA_HOST_COMPILER}")
  if(NOT MILLRACE_CUDA_PROBED STREQUAL key)
    file(WRITE ${probe}.cu "#include <span>\n__global__ void k(int* p) { *p = 1; }\nint main() {}\n")
    execute_process(
      COMMAND ${MILLRACE_NVCC} -ccbin ${CMAKE_CUDA_HOST_COMPILER} -std=c++20 -c ${probe}.cu -o ${probe}.o
      RESULT_VARIABLE failed OUTPUT_VARIABLE output ERROR_VARIABLE output)
    if(failed)
      string(STRIP "${output}" output)
      string(REGEX REPLACE "\n.*" "" output "${output}")
      set(MILLRACE_CUDA_REASON "off, ${MILLRACE_NVCC} cannot compile a C++20 kernel: ${output}" PARENT_SCOPE)
      return()
    endif()
    set(MILLRACE_CUDA_PROBED "${key}" CACHE INTERNAL "nvcc and host compiler that were tried")
  endif()
  set(MILLRACE_HAVE_CUDA ON PARENT_SCOPE)
endfunction()

millrace_probe_cuda()
if(MILLRACE_HAVE_CUDA)
  set(CMAKE_CUDA_ARCHITECTURES ${MILLRACE_CUDA_ARCHITECTURES})
  set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
  enable_language(CUDA)
  # CMake 3.25 does not know that nvcc has C++20.
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
  find_package(CUDAToolkit REQUIRED)
  list(JOIN MILLRACE_CUDA_ARCHITECTURES ", " architectures)
  set(MILLRACE_CUDA_REASON
    "nvcc ${CMAKE_CUDA_COMPILER_VERSION}, host ${CMAKE_CUDA_HOST_COMPILER}, architectures ${architectures}")
elseif(MILLRACE_CUDA STREQUAL ON)
  message(FATAL_ERROR "MILLRACE_CUDA is ON but CUDA is ${MILLRACE_CUDA_REASON}")
endif()
millrace_note(cuda "${MILLRACE_CUDA_REASON}")
