# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts under a prefix: the command, the libraries with their headers and
# pkg-config files, the simulators' plug-ins beside the runtime, which looks for them there.
include(GNUInstallDirs)
set(installed_libraries tegula_rt tegula_rt_static tegula-kernels)
set(headers runtime/include/tegula/tegula.h runtime/include/tegula/abi.h runtime/include/tegula/dlpack.h
    runtime/include/tegula/package_format.h runtime/include/tegula/sim_ptx.h)

# tegula_pkg_config(NAME DESCRIPTION LIBRARIES REQUIRED)
function(tegula_pkg_config name description libs requires)
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/${name}.pc @ONLY CONTENT
"prefix=\${pcfiledir}/@up_from_pkgconfig@
libdir=\${prefix}/@CMAKE_INSTALL_LIBDIR@
includedir=\${prefix}/@CMAKE_INSTALL_INCLUDEDIR@

Name: @name@
Description: @description@
Version: @PROJECT_VERSION@
Requires: @requires@
Libs: -L\${libdir} @libs@
Cflags: -I\${includedir}
")
  install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

# From lib/pkgconfig (or lib/x86_64-linux-gnu/pkgconfig) up to the prefix: the tree may be moved.
file(RELATIVE_PATH up_from_pkgconfig /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" up_from_pkgconfig "${up_from_pkgconfig}")

tegula_pkg_config(tegula-rt "Loads and launches kernels that Tegula compiled" "-ltegula-rt" "")
tegula_pkg_config(tegula-kernels "The host's side of Tegula's stock kernels" "-ltegula-kernels" "tegula-rt")
if(TEGULA_LLVM)
  list(APPEND installed_libraries tegula_shared)
  list(APPEND headers runtime/include/tegula/compiler.h)
  tegula_pkg_config(tegula "Tegula's compiler for hosts that compile at run time" "-ltegula" "tegula-rt")
endif()

file(RELATIVE_PATH lib_from_bin /${CMAKE_INSTALL_BINDIR} /${CMAKE_INSTALL_LIBDIR})
set_target_properties(tegula PROPERTIES INSTALL_RPATH "$ORIGIN/${lib_from_bin}")
foreach(library IN LISTS installed_libraries)
  get_target_property(kind ${library} TYPE)
  if(kind STREQUAL "SHARED_LIBRARY")
    set_target_properties(${library} PROPERTIES INSTALL_RPATH "$ORIGIN")
  endif()
endforeach()
install(TARGETS tegula ${installed_libraries})
install(TARGETS tegula_dev_sim_ptx tegula_dev_sim_amdgcn LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tegula)
install(DIRECTORY kernels/include/tegula DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
