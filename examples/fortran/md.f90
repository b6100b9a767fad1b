!> Molecular dynamics of 216 atoms of NaCl at constant energy, by velocity Verlet: md [MODEL [STEPS]]
!> Units are the model's (Å, eV) and atomic mass units; a unit of time is then 10.18 fs.
program md
   use flashschnet
   use, intrinsic :: iso_fortran_env, only: int32, int64, real64
   implicit none
   integer, parameter :: side = 6, atoms = side**3
   real(real64), parameter :: spacing = 2.7324_real64, dt = 1/10.180505_real64, kt = 8.617333e-5_real64*300
   real(real64) :: r(3, atoms), v(3, atoms), m(3, atoms), forces(3, atoms), cell(3, 3), energy, kinetic
   integer(int32) :: types(atoms)
   integer(int64) :: state = 1
   integer :: i, c, step, steps, at(3)
   character(1000) :: path, argument
   type(fsn_model) :: model
   type(fsn_potential) :: potential
   type(fsn_type) :: kinds(0:1)

   path = 'examples/nacl/nacl.safetensors'
   steps = 100
   if (command_argument_count() > 0) call get_command_argument(1, path)
   if (command_argument_count() > 1) then
      call get_command_argument(2, argument)
      read (argument, *) steps
   end if

   call model%load(path)
   call potential%create(model)
   do i = 0, 1
      call model%get_type(i + 1, kinds(i))
   end do
   cell = 0
   do c = 1, 3
      cell(c, c) = side*spacing
   end do
   do i = 1, atoms
      at = [(i - 1)/side**2, mod((i - 1)/side, side), mod(i - 1, side)]
      associate (kind => kinds(mod(sum(at), 2)))
         types(i) = kind%index
         m(:, i) = kind%mass
      end associate
      r(:, i) = spacing*at
      do c = 1, 3
         v(c, i) = sqrt(3*kt/m(c, i))*uniform()
      end do
   end do

   call potential%compute(r, types, cell, energy=energy, forces=forces)
   print '(a)', '  step       potential         kinetic           total (eV)'
   do step = 0, steps
      kinetic = sum(m*v**2)/2
      if (mod(step, 10) == 0) print '(i6, 3f16.6)', step, energy, kinetic, energy + kinetic
      v = v + dt/2*forces/m
      r = r + dt*v
      call potential%compute(r, types, cell, energy=energy, forces=forces)
      v = v + dt/2*forces/m
   end do

contains

   !> A number between -1 and 1.
   real(real64) function uniform()
      state = mod(state*48271, 2147483647_int64)
      uniform = 2*real(state, real64)/2147483647 - 1
   end function
end program
