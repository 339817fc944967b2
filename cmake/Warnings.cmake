add_library(salvor_warnings INTERFACE)
target_compile_options(salvor_warnings INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>
  $<$<BOOL:${SALVOR_WARNINGS_ARE_ERRORS}>:-Werror>)
