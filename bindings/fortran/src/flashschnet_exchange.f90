!> Message passing over a host's domains.
module flashschnet_exchange
   use, intrinsic :: iso_c_binding, only: c_f_pointer, c_int32_t, c_ptr, c_size_t
   use, intrinsic :: iso_fortran_env, only: real32, real64
   implicit none
   private
   public :: callbacks, forward_rows, fsn_exchange

   !> A host's communication between the owned atoms and the ghosts of its domains. A host extends this type by what its
   !> communication needs, and writes a procedure.
   !>
   !> `rows` has a column of numbers for each owned atom, then for each ghost that is its own owner, or for each ghost if no
   !> owners were given. `stat` is 0, or any other number if it did not work: the calculation then ends with
   !> `fsn_callback_error`. Every process is called the same number of times.
   type, abstract :: fsn_exchange
   contains
      !> Fills the columns of ghosts from those of the atoms that they are copies of.
      procedure(exchange_rows), deferred :: forward
      !> The same for a potential in single precision. By default it goes through the one above, with a copy in double
      !> precision; a host that has communication for single precision may override it.
      procedure :: forward_single
   end type

   abstract interface
      subroutine exchange_rows(self, rows, stat)
         import :: fsn_exchange, real64
         class(fsn_exchange), intent(inout) :: self
         real(real64), intent(inout), contiguous :: rows(:, :)
         integer, intent(out) :: stat
      end subroutine
   end interface

   !> What the library hands back to the function below.
   type :: callbacks
      class(fsn_exchange), pointer :: host => null()
      integer(c_size_t) :: rows = 0
   end type

contains

   subroutine forward_single(self, rows, stat)
      class(fsn_exchange), intent(inout) :: self
      real(real32), intent(inout), contiguous :: rows(:, :)
      integer, intent(out) :: stat
      real(real64), allocatable :: doubles(:, :)
      allocate (doubles, source=real(rows, real64))
      call self%forward(doubles, stat)
      rows = real(doubles, real32)
   end subroutine

   function forward_rows(context, rows, width, element_size) bind(c) result(code)
      type(c_ptr), value :: context, rows
      integer(c_size_t), value :: width, element_size
      integer(c_int32_t) :: code
      type(callbacks), pointer :: to
      real(real32), pointer, contiguous :: singles(:, :)
      real(real64), pointer, contiguous :: doubles(:, :)
      call c_f_pointer(context, to)
      if (element_size == 4) then
         call c_f_pointer(rows, singles, [width, to%rows])
         call to%host%forward_single(singles, code)
      else
         call c_f_pointer(rows, doubles, [width, to%rows])
         call to%host%forward(doubles, code)
      end if
   end function
end module
