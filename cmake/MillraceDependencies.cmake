# SPDX-License-Identifier: Apache-2.0
# Owns where the libraries of other people come from (Debian 12 packages; DESIGN, tools and parts).
if(MILLRACE_PORTABLE)
  include(MillracePortable)
endif()
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(hwy REQUIRED)

# Debian ships these without CMake files, or with ones that name only the shared library.
function(millrace_find_archive target archive header)
  find_library(${target}_LIBRARY NAMES ${archive} REQUIRED)
  find_path(${target}_INCLUDE ${header} REQUIRED)
  add_library(${target} UNKNOWN IMPORTED GLOBAL)
  set_target_properties(${target} PROPERTIES
    IMPORTED_LOCATION ${${target}_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${${target}_INCLUDE})
endfunction()
millrace_find_archive(secp256k1 libsecp256k1.a secp256k1_recovery.h)
millrace_find_archive(gmp libgmp.a gmp.h)
millrace_find_archive(zstd libzstd.a zstd.h)
millrace_find_archive(crypto libcrypto.a openssl/evp.h)
target_link_libraries(crypto INTERFACE Threads::Threads ${CMAKE_DL_LIBS})

# Takes the place of the C library's allocator in the whole process: most objects of the pipeline are
# allocated by one thread and freed by another. Debian has it as a shared library only.
set(mimalloc_reason "")
if(MILLRACE_MIMALLOC STREQUAL OFF)
  set(mimalloc_reason "off (MILLRACE_MIMALLOC=OFF)")
elseif(MILLRACE_SANITIZE)
  set(mimalloc_reason "off, sanitizers bring an allocator of their own")
elseif(MILLRACE_PORTABLE)
  set(mimalloc_reason "off in the portable folder")
else()
  find_library(MILLRACE_MIMALLOC_LIBRARY NAMES mimalloc)
  if(NOT MILLRACE_MIMALLOC_LIBRARY)
    set(mimalloc_reason "off, libmimalloc is not installed")
  endif()
endif()
if(mimalloc_reason STREQUAL "")
  set(MILLRACE_ALLOCATOR -Wl,--no-as-needed ${MILLRACE_MIMALLOC_LIBRARY} -Wl,--as-needed)
  millrace_note("mimalloc" "on, ${MILLRACE_MIMALLOC_LIBRARY}")
elseif(MILLRACE_MIMALLOC STREQUAL ON)
  message(FATAL_ERROR "MILLRACE_MIMALLOC is ON, but it is ${mimalloc_reason}")
else()
  set(MILLRACE_ALLOCATOR "")
  millrace_note("mimalloc" "${mimalloc_reason}")
endif()

include(MillraceCuda)

if(MILLRACE_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
  find_package(rapidcheck REQUIRED)
endif()

include(MillraceLlvm)
