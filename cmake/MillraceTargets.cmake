# SPDX-License-Identifier: Apache-2.0
# Owns how a library, a test and a fuzz target of the project are declared.

find_program(MILLRACE_CCACHE ccache)
if(MILLRACE_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${MILLRACE_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${MILLRACE_CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${MILLRACE_CCACHE})
endif()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

# The flags of our own code; nothing is set globally.
add_library(millrace_flags INTERFACE)
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS ON)
target_include_directories(millrace_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(millrace_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wno-missing-field-initializers -march=${MILLRACE_ARCH} -mtune=znver4 -fno-omit-frame-pointer>
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${MILLRACE_WERROR}>>:-Werror>)
if(MILLRACE_SANITIZE)
  target_compile_options(millrace_flags INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${MILLRACE_SANITIZE} -fno-sanitize-recover=all>)
  target_link_options(millrace_flags INTERFACE -fsanitize=${MILLRACE_SANITIZE})
endif()
if(MILLRACE_FUZZ)
  target_compile_options(millrace_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=fuzzer-no-link>)
endif()
find_program(MILLRACE_LLD ld.lld-19)
if(MILLRACE_LLD)
  target_link_options(millrace_flags INTERFACE -fuse-ld=${MILLRACE_LLD} -Wl,--gc-sections)
endif()

# millrace_library(NAME SOURCES a.cpp .. [DEPENDS libs ..] [PRIVATE_DEPENDS libs ..])
# gives the static library millrace_NAME with the alias millrace::NAME.
function(millrace_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PRIVATE_DEPENDS" ${ARGN})
  add_library(millrace_${name} STATIC ${ARG_SOURCES})
  add_library(millrace::${name} ALIAS millrace_${name})
  target_link_libraries(millrace_${name} PUBLIC millrace_flags ${ARG_DEPENDS} PRIVATE ${ARG_PRIVATE_DEPENDS})
endfunction()

# millrace_test(NAME LABELS unit .. SOURCES a.cpp .. LINK libs .. [TIMEOUT_S n])
# gives the GoogleTest program NAME_test; every TEST is one CTest.
function(millrace_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT_S" "LABELS;SOURCES;LINK" ${ARGN})
  if(NOT ARG_TIMEOUT_S)
    set(ARG_TIMEOUT_S 300)
  endif()
  add_executable(${name}_test ${ARG_SOURCES})
  target_link_libraries(${name}_test PRIVATE millrace_flags ${ARG_LINK} GTest::gtest GTest::gmock GTest::gtest_main)
  gtest_discover_tests(${name}_test TEST_PREFIX ${name}. DISCOVERY_TIMEOUT 60
    PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT_S})
endfunction()

# millrace_fuzz(NAME SOURCES a.cpp LINK libs ..) gives the libFuzzer program fuzz_NAME; its seed
# corpus is tests/fuzz/corpus/NAME.
function(millrace_fuzz name)
  if(NOT MILLRACE_FUZZ)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(fuzz_${name} ${ARG_SOURCES})
  target_link_libraries(fuzz_${name} PRIVATE millrace_flags ${ARG_LINK})
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
endfunction()

set_property(GLOBAL PROPERTY MILLRACE_SUMMARY "")
# One line of the configure summary: what was found, and why or why not.
function(millrace_note part text)
  string(REPLACE ";" "," text "${text}")  # a semicolon would make two lines of it
  set_property(GLOBAL APPEND PROPERTY MILLRACE_SUMMARY "  ${part}: ${text}")
endfunction()

function(millrace_print_summary)
  get_property(lines GLOBAL PROPERTY MILLRACE_SUMMARY)
  message(STATUS "Millrace ${PROJECT_VERSION}")
  message(STATUS "  build: ${CMAKE_BUILD_TYPE}, ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}, -march=${MILLRACE_ARCH}, sanitizers '${MILLRACE_SANITIZE}'")
  foreach(line IN LISTS lines)
    message(STATUS "${line}")
  endforeach()
endfunction()
